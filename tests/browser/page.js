// Runs in the page before its own scripts: the microphone becomes a tone, and what the speaker plays can be asked for.

window.ringfortTest = (() => {
  let context = null;
  let microphoneHz = 440;
  let heard = null;

  function audio() {
    context ??= new AudioContext();
    void context.resume();
    return context;
  }

  /** A stream with a tone in place of what a microphone would give. */
  function microphone() {
    const oscillator = audio().createOscillator();
    const volume = audio().createGain();
    const destination = audio().createMediaStreamDestination();
    oscillator.frequency.value = microphoneHz;
    volume.gain.value = 0.4;
    oscillator.connect(volume).connect(destination);
    oscillator.start();
    return destination.stream;
  }

  /** The loudest frequency of what the speaker plays, in hertz, and how loud it is, in decibels of full scale. */
  function listen(stream) {
    if (heard?.stream !== stream) {
      heard?.source.disconnect();
      const source = audio().createMediaStreamSource(stream);
      const analyser = audio().createAnalyser();
      analyser.fftSize = 8192;
      analyser.smoothingTimeConstant = 0;
      source.connect(analyser);
      heard = { stream, source, analyser, bins: new Float32Array(analyser.frequencyBinCount) };
    }
    const { analyser, bins } = heard;
    analyser.getFloatFrequencyData(bins);
    return loudest(1, bins.length);
  }

  function loudest(from, to) {
    const { analyser, bins } = heard;
    let best = from;
    for (let bin = from + 1; bin < to; bin++) if (bins[bin] > bins[best]) best = bin;
    return { hz: (best * audio().sampleRate) / analyser.fftSize, db: bins[best] };
  }

  const AUDIBLE_DB = -45;
  const NEAR_HZ = 20;

  if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = async () => microphone();

  return {
    setMicrophone(hz) {
      microphoneHz = hz;
    },
    heard() {
      const stream = document.querySelector('[data-testid="remote-audio"]')?.srcObject;
      return stream instanceof MediaStream && stream.getAudioTracks().length > 0 ? listen(stream) : null;
    },
    /** Whether this tone stands out of what is beside it, whatever else is heard. */
    hearsAmong(hz) {
      if (this.heard() === null) return false;
      const bin = Math.round((hz * heard.analyser.fftSize) / audio().sampleRate);
      const near = loudest(bin - 12, bin + 13);
      return near.db > AUDIBLE_DB && Math.abs(near.hz - hz) <= NEAR_HZ / 2;
    },
    hears(hz) {
      const now = this.heard();
      return now !== null && now.db > AUDIBLE_DB && Math.abs(now.hz - hz) <= NEAR_HZ;
    },
  };
})();
