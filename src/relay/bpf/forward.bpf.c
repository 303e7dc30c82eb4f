// Forwards RTP, and SRTP that passes untouched, between two peers inside the kernel, where nothing but addresses changes. Attached to the
// ingress side of Ethernet interfaces by kernel.rs, which fills `passages` and reads `progress`.
//
// Whatever is not certain goes up to user space (TC_ACT_OK), which knows what to do with it and counts it: other sources, RTCP,
// STUN, DTLS, telephone events, fragments, IP options, padding, anything that does not fit. So nothing is dropped here, but for a packet whose memory the kernel moved and then
// lost, of which nothing is left to send.
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
#include "passages.h"

static long (*load_bytes)(const void *skb, __u32 at, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*pull_data)(struct __sk_buff *skb, __u32 len) = (void *)BPF_FUNC_skb_pull_data;
static long (*l4_checksum)(struct __sk_buff *skb, __u32 at, __u64 from, __u64 to, __u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static long (*redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *hop, int len, __u64 flags) = (void *)BPF_FUNC_redirect_neigh;

#define FAMILY_V4 2
#define FAMILY_V6 10

// Whether the octets are RTP that fits its own header (RFC 3550 A.1).
inline_always int is_rtp(struct __sk_buff *skb, const __u8 *rtp, __u32 at, __u32 len)
{
	__u32 header = fixed_len(rtp);

	if (!header)
		return 0;
	if (rtp[0] & 0x10) {
		__u16 words;

		if (load_bytes(skb, at + header + 2, &words, sizeof words) < 0)
			return 0;
		header += 4 + 4 * net16(words);
	}
	return header <= len;
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

	if (!seen || !goes_on(to, seen, rtp) || readdress(skb, to, udp_at + __builtin_offsetof(struct udphdr, check)))
		return TC_ACT_OK;
	fetch();
	if (data + rtp_at > end)
		return TC_ACT_SHOT;
	ip = at(struct iphdr, ip_at);
	udp = at(struct udphdr, udp_at);
	readdress_v4(ip, to);
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

	if (!seen || !goes_on(to, seen, rtp) || readdress(skb, to, udp_at + __builtin_offsetof(struct udphdr, check)))
		return TC_ACT_OK;
	fetch();
	if (data + rtp_at > end)
		return TC_ACT_SHOT;
	ip = at(struct ipv6hdr, ip_at);
	udp = at(struct udphdr, udp_at);
	readdress_v6(ip, to);
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
