// Steers frames for the relay's own ports past the kernel's sockets, to the AF_XDP socket of the queue that they came by. Attached to the
// interfaces that the configuration names by steering.rs, which fills `links`, `doors` and `sockets`.
//
// Whatever is not one whole UDP datagram to a door of this node goes the usual way (XDP_PASS): other ports, fragments, IP options, tagged
// frames, other people's frames. So nothing is dropped here, and a worker reads the rest of the headers once more.
//
// Read first: the kernel's Documentation/networking/af_xdp.rst; bpf-helpers(7).

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "common.h"

static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;

// As steering.rs has them.
#define DOORS_MAX 24000
#define LINKS_MAX 16
#define SOCKETS_MAX 256

// A local address and port. IPv4 addresses are mapped into IPv6.
struct door {
	__u32 address[4];
	__u16 port;
	__u16 zero;
};

// An interface that has sockets.
struct link {
	__u8 mac[ETH_ALEN];
	__u16 queues;
	__u32 first; // place of its first queue's socket in `sockets`
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LINKS_MAX);
	__type(key, __u32);
	__type(value, struct link);
} links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DOORS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct door);
	__type(value, __u32);
} doors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SOCKETS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

inline_always int is_ours(const struct ethhdr *ethernet, const struct link *link)
{
	const __u16 *to = (const __u16 *)ethernet->h_dest, *own = (const __u16 *)link->mac;

	return to[0] == own[0] && to[1] == own[1] && to[2] == own[2];
}

SEC("xdp")
int ringfort_steer(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 ifindex = context->ingress_ifindex, queue = context->rx_queue_index;
	struct door door = {};

	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return XDP_PASS;
	struct link *link = map_lookup(&links, &ifindex);

	if (!link || queue >= link->queues || !is_ours(data, link))
		return XDP_PASS;
	if (at(struct ethhdr, 0)->h_proto == net16(ETH_P_IP)) {
		struct iphdr *ip = at(struct iphdr, ETH_HLEN);

		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & net16(0x3fff))
			return XDP_PASS;
		door.address[2] = net32(0xffff);
		door.address[3] = ip->daddr;
		door.port = at(struct udphdr, ETH_HLEN + sizeof *ip)->dest;
	} else if (at(struct ethhdr, 0)->h_proto == net16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at(struct ipv6hdr, ETH_HLEN);

		if (data + ETH_HLEN + sizeof *ip + sizeof(struct udphdr) > end)
			return XDP_PASS;
		if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
		__builtin_memcpy(door.address, &ip->daddr, sizeof door.address);
		door.port = at(struct udphdr, ETH_HLEN + sizeof *ip)->dest;
	} else {
		return XDP_PASS;
	}
	if (!map_lookup(&doors, &door))
		return XDP_PASS;
	// Without a socket there it goes the usual way.
	return redirect_map(&sockets, link->first + queue, XDP_PASS);
}

// None of the helpers that it calls asks for another licence.
char licence[] SEC("license") = "Apache-2.0";
