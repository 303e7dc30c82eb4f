// Ringing and ring-back made by Web Audio: no sound files, nothing to load when a call comes in.

interface Cadence {
  frequencies: number[];
  /** Seconds of sound and silence, in turn. */
  pattern: number[];
  gain: number;
}

/** Ring-back as heard in most of Europe (ITU-T E.180: 425 Hz, 1 s on, 4 s off). */
const RING_BACK: Cadence = { frequencies: [425], pattern: [1, 4], gain: 0.08 };
const RINGING: Cadence = { frequencies: [659, 880], pattern: [0.4, 0.2, 0.4, 2], gain: 0.16 };
/** Call waiting, under a conversation (ITU-T E.180: 425 Hz, twice 0.2 s). */
const WAITING: Cadence = { frequencies: [425], pattern: [0.2, 0.2, 0.2, 4.4], gain: 0.06 };
const FADE_S = 0.02;

export class Tones {
  private context: AudioContext | null = null;
  private playing: Cadence | null = null;
  private stopPlaying: (() => void) | null = null;

  ringBack(): void {
    this.play(RING_BACK);
  }

  ring(): void {
    this.play(RINGING);
  }

  waiting(): void {
    this.play(WAITING);
  }

  stop(): void {
    this.stopPlaying?.();
    this.stopPlaying = null;
    this.playing = null;
  }

  private play(cadence: Cadence): void {
    if (this.playing === cadence) return;
    this.stop();
    this.playing = cadence;
    this.context ??= new AudioContext();
    // Suspended until the page was clicked once: the ringing then starts with that click.
    void this.context.resume();
    this.stopPlaying = startCadence(this.context, cadence);
  }
}

function startCadence(context: AudioContext, cadence: Cadence): () => void {
  const volume = context.createGain();
  volume.gain.value = 0;
  volume.connect(context.destination);
  const oscillators = cadence.frequencies.map((frequency) => startOscillator(context, frequency, volume));
  const round = cadence.pattern.reduce((sum, span) => sum + span, 0);
  scheduleRound(context, volume.gain, cadence);
  const timer = window.setInterval(() => scheduleRound(context, volume.gain, cadence), round * 1000);
  return () => {
    window.clearInterval(timer);
    oscillators.forEach((oscillator) => oscillator.stop());
    volume.disconnect();
  };
}

function startOscillator(context: AudioContext, frequency: number, into: AudioNode): OscillatorNode {
  const oscillator = context.createOscillator();
  oscillator.frequency.value = frequency;
  oscillator.connect(into);
  oscillator.start();
  return oscillator;
}

/** Writes one round of sound and silence into the volume; short ramps keep it from clicking. */
function scheduleRound(context: AudioContext, volume: AudioParam, cadence: Cadence): void {
  let at = context.currentTime;
  volume.cancelScheduledValues(at);
  cadence.pattern.forEach((span, index) => {
    volume.setTargetAtTime(index % 2 === 0 ? cadence.gain : 0, at, FADE_S);
    at += span;
  });
}
