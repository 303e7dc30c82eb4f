// Who sends to whom through the kernel, what is made of such a packet and what was seen of it: the part that does not care by which hook a
// packet comes. layout.rs holds the same structures in octets.
//
// Read first: RFC 3550 5.1, A.1, A.3, A.8; RFC 5761 4; RFC 1624.

static __u64 (*ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;

#define PORTS_MAX 24000
#define CLOCKS_MAX 8
#define RTP_HEADER 12
// RFC 3550 A.1, as media/quality/reception.rs has them.
#define DROPOUT_MAX 3000
#define MISORDER_MAX 100
#define PAUSE_US 1000000

// Who sends to whom. IPv4 addresses are mapped into IPv6.
struct key {
	__u32 local[4];
	__u32 peer[4];
	__u16 local_port;
	__u16 peer_port;
};

// What is made of such a packet.
struct passage {
	__u32 source[4];
	__u32 target[4];
	__u32 hop[4]; // next hop; IPv4 in its first word
	__u16 source_port;
	__u16 target_port;
	__u32 ifindex;
	__u32 address_diff; // one's complement sum: new addresses less old ones
	__u32 port_diff;
	__u32 place;        // in `progress`
	__u8 tos;
	__u8 hop_family;
	__u16 longest;       // IP packet, octets
	__u32 hop_place;     // in `hops`, frames.bpf.c
	__u32 hop_number;    // whose that place is
	__u32 clocks[CLOCKS_MAX]; // payload type << 24 | clock in Hz; 0: none
	__u32 sealed;        // SRTP that passes as it is
};

// What was seen of it. Packets of one flow come one after another on one processor, so nothing is locked.
struct progress {
	__u64 packets;
	__u64 octets;
	__u64 first;
	__u64 highest;
	__u64 received;
	__u64 lost_before;
	__u64 jitter_16;
	__u64 before_ns; // 0: no packet before
	__u32 before_stamp;
	__u32 ssrc;
	__u32 confirms;  // 1 << 16 | sequence number, 0: none
	__u32 jitter_max_us;
	__u32 known;     // a stream has begun
	__u32 as_frames; // of the packets, so many were forwarded before the kernel made more of them than a frame
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, struct passage);
} passages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct progress);
} progress SEC(".maps");

inline_always void begin(struct progress *p, __u32 ssrc, __u16 sequence)
{
	if (p->known && p->highest - p->first + 1 > p->received)
		p->lost_before += p->highest - p->first + 1 - p->received;
	p->known = 1;
	p->ssrc = ssrc;
	p->first = p->highest = (1ull << 16) | sequence;
	p->received = 1;
	p->confirms = 0;
	p->before_ns = 0;
	p->jitter_16 = 0;
}

// Whether the packet goes on with the stream (RFC 3550 A.1).
inline_always int takes(struct progress *p, __u16 sequence)
{
	__u16 ahead = sequence - (__u16)p->highest;

	if (ahead < DROPOUT_MAX) {
		p->highest += ahead;
	} else if (ahead <= 65535 - MISORDER_MAX) {
		int anew = p->confirms == ((1u << 16) | sequence);

		p->confirms = (1u << 16) | (__u16)(sequence + 1);
		return !anew;
	} else {
		__u64 back = (__u16)((__u16)p->highest - sequence);

		if (p->highest - back < p->first)
			p->first = p->highest - back;
	}
	p->confirms = 0;
	p->received++;
	return 1;
}

// RFC 3550 A.8, in 1/16 microseconds.
inline_always void spaced(struct progress *p, __u64 now, __u32 stamp, __u32 clock)
{
	__u64 before = p->before_ns;
	__s32 ticks = stamp - p->before_stamp;

	p->before_ns = now;
	p->before_stamp = stamp;
	if (!before || !clock)
		return;
	__u64 arrived = (now - before) / 1000, sent, difference;

	if (ticks >= 0) {
		sent = (__u64)ticks * 1000000 / clock;
		difference = arrived > sent ? arrived - sent : sent - arrived;
	} else {
		sent = (__u64)(-(__s64)ticks) * 1000000 / clock;
		difference = arrived + sent;
	}
	if (difference >= PAUSE_US)
		return;
	p->jitter_16 += difference - ((p->jitter_16 + 8) >> 4);
	if (p->jitter_16 >> 4 > p->jitter_max_us)
		p->jitter_max_us = p->jitter_16 >> 4;
}

inline_always void measure(struct progress *p, __u32 clock, const __u8 *rtp, __u32 octets)
{
	__u16 sequence = (__u16)rtp[2] << 8 | rtp[3];
	__u32 stamp = (__u32)rtp[4] << 24 | (__u32)rtp[5] << 16 | (__u32)rtp[6] << 8 | rtp[7];
	__u32 ssrc = (__u32)rtp[8] << 24 | (__u32)rtp[9] << 16 | (__u32)rtp[10] << 8 | rtp[11];

	p->packets++;
	p->octets += octets;
	if (!p->known || p->ssrc != ssrc || !takes(p, sequence))
		begin(p, ssrc, sequence);
	if (clock)
		spaced(p, ktime_ns(), stamp, clock);
}

// SRTP goes on here only as the stream that user space proved: another SSRC, and a leap after which nobody could tell the roll-over
// counter (RFC 3711 3.3.1), are proved there first.
inline_always int goes_on(const struct passage *to, const struct progress *p, const __u8 *rtp)
{
	__u16 ahead = ((__u16)rtp[2] << 8 | rtp[3]) - (__u16)p->highest;
	__u32 ssrc = (__u32)rtp[8] << 24 | (__u32)rtp[9] << 16 | (__u32)rtp[10] << 8 | rtp[11];

	return !to->sealed || (p->known && p->ssrc == ssrc && (ahead < DROPOUT_MAX || ahead > 65535 - MISORDER_MAX));
}

// Clock of the packet's payload type, if that is speech. Without any that was agreed on (0) all is carried unmeasured.
inline_always int carries(const struct passage *to, const __u8 *rtp, __u32 *clock)
{
	__u32 payload = rtp[1] & 0x7f;

	*clock = 0;
#pragma clang loop unroll(full)
	for (int n = 0; n < CLOCKS_MAX; n++)
		if (to->clocks[n] && to->clocks[n] >> 24 == payload)
			*clock = to->clocks[n] & 0xffffff;
	return *clock || !to->clocks[0];
}

// What of the header of RTP (RFC 3550 5.1) is there whatever follows. 0: it is none, or user space's business: padding is rare.
inline_always __u32 fixed_len(const __u8 *rtp)
{
	__u8 payload = rtp[1] & 0x7f;

	if (rtp[0] >> 6 != 2 || rtp[0] & 0x20)
		return 0;
	if (payload >= 64 && payload <= 95) // RTCP (RFC 5761 4)
		return 0;
	return RTP_HEADER + 4 * (rtp[0] & 0x0f);
}

inline_always __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// The header of IPv4 as it leaves. The mark is the node's, what routers say of congestion (RFC 3168) is the path's.
inline_always void readdress_v4(struct iphdr *ip, const struct passage *to)
{
	__u16 *words = (__u16 *)ip;
	__u32 sum = (__u16)~ip->check + fold(to->address_diff) + (__u16)~words[0] + (__u16)~words[4];

	ip->tos = to->tos | (ip->tos & 3);
	ip->ttl--;
	sum += words[0] + words[4];
	ip->check = ~fold(sum);
	ip->saddr = to->source[3];
	ip->daddr = to->target[3];
}

// The header of IPv6 as it leaves.
inline_always void readdress_v6(struct ipv6hdr *ip, const struct passage *to)
{
	ip->priority = to->tos >> 4;
	ip->flow_lbl[0] = (__u8)(to->tos << 4) | (ip->flow_lbl[0] & 0x30);
	ip->flow_lbl[1] = 0;
	ip->flow_lbl[2] = 0;
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, to->source, 16);
	__builtin_memcpy(&ip->daddr, to->target, 16);
}
