// Forwards RTP between two peers inside the kernel, where nothing but addresses changes. Attached to the ingress side of Ethernet
// interfaces by kernel.rs, which fills `passages` and reads `progress`; layout.rs holds the same structures in octets.
//
// Whatever is not certain goes up to user space (TC_ACT_OK), which knows what to do with it and counts it: other sources, RTCP,
// STUN, DTLS, telephone events, fragments, IP options, padding, anything that does not fit. So nothing is dropped here.
//
// Read first: RFC 3550 5.1, A.1, A.3, A.8; RFC 5761 4; RFC 7983 7; RFC 1624; bpf-helpers(7).

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include "common.h"

static __u64 (*ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*load_bytes)(const void *skb, __u32 at, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*pull_data)(struct __sk_buff *skb, __u32 len) = (void *)BPF_FUNC_skb_pull_data;
static long (*l4_checksum)(struct __sk_buff *skb, __u32 at, __u64 from, __u64 to, __u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static long (*redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *hop, int len, __u64 flags) = (void *)BPF_FUNC_redirect_neigh;

#define FAMILY_V4 2
#define FAMILY_V6 10

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
	__u32 clocks[CLOCKS_MAX]; // payload type << 24 | clock in Hz; 0: none
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
	__u32 unused;
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

// Whether the octets are RTP that fits its own header (RFC 3550 A.1). Padding is rare and user space's business.
inline_always int is_rtp(struct __sk_buff *skb, const __u8 *rtp, __u32 at, __u32 len)
{
	__u32 header = RTP_HEADER + 4 * (rtp[0] & 0x0f);
	__u8 payload = rtp[1] & 0x7f;

	if (rtp[0] >> 6 != 2 || rtp[0] & 0x20)
		return 0;
	if (payload >= 64 && payload <= 95) // RTCP (RFC 5761 4)
		return 0;
	if (rtp[0] & 0x10) {
		__u16 words;

		if (load_bytes(skb, at + header + 2, &words, sizeof words) < 0)
			return 0;
		header += 4 + 4 * net16(words);
	}
	return header <= len;
}

inline_always __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// The checksum first: if that fails, the packet is still whole. In two steps: where the interface is to finish the checksum, it
// covers the addresses already and the ports not yet. A missing one stays missing.
inline_always int readdress(struct __sk_buff *skb, const struct passage *to, __u32 checksum_at)
{
	return l4_checksum(skb, checksum_at, 0, to->address_diff, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) ||
	       l4_checksum(skb, checksum_at, 0, to->port_diff, BPF_F_MARK_MANGLED_0);
}

// The kernel finds the next hop's Ethernet address, and waits for it if need be.
inline_always int leave(const struct passage *to)
{
	struct bpf_redir_neigh hop = {};

	hop.nh_family = to->hop_family;
	hop.ipv6_nh[0] = to->hop[0];
	hop.ipv6_nh[1] = to->hop[1];
	hop.ipv6_nh[2] = to->hop[2];
	hop.ipv6_nh[3] = to->hop[3];
	return redirect_neigh(to->ifindex, &hop, sizeof hop, 0);
}

#define fetch() (data = (void *)(long)skb->data, end = (void *)(long)skb->data_end)

inline_always int forward_v4(struct __sk_buff *skb)
{
	const __u32 ip_at = ETH_HLEN, udp_at = ip_at + sizeof(struct iphdr), rtp_at = udp_at + sizeof(struct udphdr);
	void *data, *end;

	fetch();
	if (data + rtp_at + RTP_HEADER > end)
		return TC_ACT_OK;
	struct iphdr *ip = at(struct iphdr, ip_at);
	struct udphdr *udp = at(struct udphdr, udp_at);
	__u32 ip_len = net16(ip->tot_len), udp_len = net16(udp->len);

	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & net16(0x3fff) || ip->ttl <= 1)
		return TC_ACT_OK;
	if (ip_len != udp_len + sizeof *ip || ip_at + ip_len > skb->len || udp_len < sizeof *udp + RTP_HEADER)
		return TC_ACT_OK;
	struct key key = {
		.local = { 0, 0, net32(0xffff), ip->daddr },
		.peer = { 0, 0, net32(0xffff), ip->saddr },
		.local_port = udp->dest,
		.peer_port = udp->source,
	};
	struct passage *to = map_lookup(&passages, &key);

	if (!to || ip_len > to->longest)
		return TC_ACT_OK;
	__u8 rtp[RTP_HEADER];

	__builtin_memcpy(rtp, data + rtp_at, RTP_HEADER);
	__u32 clock;

	if (!carries(to, rtp, &clock) || !is_rtp(skb, rtp, rtp_at, udp_len - sizeof *udp))
		return TC_ACT_OK;
	struct progress *seen = map_lookup(&progress, &to->place);

	if (!seen || readdress(skb, to, udp_at + __builtin_offsetof(struct udphdr, check)))
		return TC_ACT_OK;
	fetch();
	if (data + rtp_at > end)
		return TC_ACT_SHOT;
	ip = at(struct iphdr, ip_at);
	udp = at(struct udphdr, udp_at);
	__u16 *words = (__u16 *)ip;
	__u32 sum = (__u16)~ip->check + fold(to->address_diff) + (__u16)~words[0] + (__u16)~words[4];

	// The mark is the node's, what routers say of congestion (RFC 3168) is the path's.
	ip->tos = to->tos | (ip->tos & 3);
	ip->ttl--;
	sum += words[0] + words[4];
	ip->check = ~fold(sum);
	ip->saddr = to->source[3];
	ip->daddr = to->target[3];
	udp->source = to->source_port;
	udp->dest = to->target_port;
	measure(seen, clock, rtp, udp_len - sizeof *udp);
	return leave(to);
}

inline_always int forward_v6(struct __sk_buff *skb)
{
	const __u32 ip_at = ETH_HLEN, udp_at = ip_at + sizeof(struct ipv6hdr), rtp_at = udp_at + sizeof(struct udphdr);
	void *data, *end;

	fetch();
	if (data + rtp_at + RTP_HEADER > end)
		return TC_ACT_OK;
	struct ipv6hdr *ip = at(struct ipv6hdr, ip_at);
	struct udphdr *udp = at(struct udphdr, udp_at);
	__u32 udp_len = net16(udp->len);

	// RFC 8200 8.1: over IPv6 there is always a checksum.
	if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP || ip->hop_limit <= 1 || !udp->check)
		return TC_ACT_OK;
	if (net16(ip->payload_len) != udp_len || udp_at + udp_len > skb->len || udp_len < sizeof *udp + RTP_HEADER)
		return TC_ACT_OK;
	struct key key = { .local_port = udp->dest, .peer_port = udp->source };

	__builtin_memcpy(key.local, &ip->daddr, 16);
	__builtin_memcpy(key.peer, &ip->saddr, 16);
	struct passage *to = map_lookup(&passages, &key);

	if (!to || sizeof *ip + udp_len > to->longest)
		return TC_ACT_OK;
	__u8 rtp[RTP_HEADER];

	__builtin_memcpy(rtp, data + rtp_at, RTP_HEADER);
	__u32 clock;

	if (!carries(to, rtp, &clock) || !is_rtp(skb, rtp, rtp_at, udp_len - sizeof *udp))
		return TC_ACT_OK;
	struct progress *seen = map_lookup(&progress, &to->place);

	if (!seen || readdress(skb, to, udp_at + __builtin_offsetof(struct udphdr, check)))
		return TC_ACT_OK;
	fetch();
	if (data + rtp_at > end)
		return TC_ACT_SHOT;
	ip = at(struct ipv6hdr, ip_at);
	udp = at(struct udphdr, udp_at);
	ip->priority = to->tos >> 4;
	ip->flow_lbl[0] = (__u8)(to->tos << 4) | (ip->flow_lbl[0] & 0x30);
	ip->flow_lbl[1] = 0;
	ip->flow_lbl[2] = 0;
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, to->source, 16);
	__builtin_memcpy(&ip->daddr, to->target, 16);
	udp->source = to->source_port;
	udp->dest = to->target_port;
	measure(seen, clock, rtp, udp_len - sizeof *udp);
	return leave(to);
}

SEC("classifier")
int ringfort_forward(struct __sk_buff *skb)
{
	// To this host, in one piece, and of this very network.
	if (skb->pkt_type != 0 || skb->gso_segs > 1 || skb->vlan_present)
		return TC_ACT_OK;
	if ((void *)(long)skb->data + 74 > (void *)(long)skb->data_end)
		pull_data(skb, skb->len < 74 ? skb->len : 74);
	if (skb->protocol == net16(ETH_P_IP))
		return forward_v4(skb);
	if (skb->protocol == net16(ETH_P_IPV6))
		return forward_v6(skb);
	return TC_ACT_OK;
}

// None of the helpers that it calls asks for another licence.
char licence[] SEC("license") = "Apache-2.0";
