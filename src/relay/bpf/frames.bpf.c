// What becomes of frames on the interfaces that the configuration names, before the kernel makes more of them: RTP of a flow that
// the kernel carries is forwarded here already where the driver takes the program (XDP), datagrams to the relay's own ports are steered past
// the kernel's sockets, to the AF_XDP socket of the queue that they came by. Attached by steering.rs, which fills `links`, `doors` and
// `sockets`; hops.rs fills `hops`.
//
// Whatever else comes goes the usual way (XDP_PASS): other ports, fragments, IP options, tagged frames, other people's frames. Of a flow that is
// forwarded here it meets the program behind (forward.bpf.c), over the same tables. So nothing is dropped here, and a worker reads the
// rest of the headers once more.
//
// Read first: the kernel's Documentation/networking/af_xdp.rst; bpf-helpers(7).

// Both programs in one object have the same tables.
#include "forward.bpf.c"

static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;

// As steering.rs and hops.rs have them.
#define DOORS_MAX 24000
#define LINKS_MAX 16
#define SOCKETS_MAX 256
#define HOPS_MAX 4096
// So long frames go by what is known of a neighbour. Then one goes the usual way, and the kernel sees to it that the neighbour is still there.
#define TRUSTED_NS 1000000000ull

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
	__u32 first;    // place of its first queue's socket in `sockets`
	__u32 forwards; // frames that come by it may be forwarded
};

// A neighbour.
struct hop {
	__u64 until_ns;
	__u8 target[ETH_ALEN];
	__u8 source[ETH_ALEN];
	__u32 number; // whose the place is; 0: nothing is known of it
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOPS_MAX);
	__type(key, __u32);
	__type(value, struct hop);
} hops SEC(".maps");

// A frame, and where in it is what.
struct frame {
	void *data, *end;
	__u32 udp_at;
	__u32 ip_len;
};

inline_always int is_ours(const struct ethhdr *ethernet, const struct link *link)
{
	const __u16 *to = (const __u16 *)ethernet->h_dest, *own = (const __u16 *)link->mac;

	return to[0] == own[0] && to[1] == own[1] && to[2] == own[2];
}

// Whether the datagram is RTP that fits its own header (RFC 3550 A.1).
inline_always int frame_is_rtp(const struct frame *frame, const __u8 *rtp, __u32 len)
{
	void *data = frame->data;
	__u32 header = fixed_len(rtp), rtp_at = frame->udp_at + sizeof(struct udphdr);

	if (!header)
		return 0;
	if (rtp[0] & 0x10) {
		__u16 *extension = at(__u16, rtp_at + header);

		if ((void *)(extension + 2) > frame->end)
			return 0;
		header += 4 + 4 * net16(extension[1]);
	}
	return header <= len;
}

// A checksum that a virtual interface was to finish covers addresses, protocol and length only.
inline_always int is_only_begun(const struct key *key, __u16 udp_len, __u16 check)
{
	const __u16 *words = (const __u16 *)key;
	__u32 sum = net16(IPPROTO_UDP) + udp_len;

	// The mark of a mapped IPv4 address is none of it, and comes twice: 0xffff is nothing in one's complement.
#pragma clang loop unroll(full)
	for (int n = 0; n < 16; n++)
		sum += words[n];
	return fold(sum) == check;
}

// The ports and the checksum of a datagram that leaves. 0: another program can, this one cannot.
inline_always int readdress_frame(struct udphdr *udp, const struct key *key, const struct passage *to, int is_v4)
{
	__u16 check = udp->check;

	if (check && is_only_begun(key, udp->len, check)) {
		if (!is_v4) // RFC 8200 8.1
			return 0;
		udp->check = 0;
	} else if (check) {
		check = ~fold((__u16)~check + fold(to->address_diff) + fold(to->port_diff));
		udp->check = check ? check : 0xffff;
	}
	udp->source = to->source_port;
	udp->dest = to->target_port;
	return 1;
}

// The Ethernet addresses of the next hop. 0: they are to be found out, or confirmed.
inline_always struct hop *trusted(const struct passage *to)
{
	struct hop *hop = map_lookup(&hops, &to->hop_place);

	// The place may be another neighbour's by now.
	if (!hop || !hop->number || hop->number != to->hop_number)
		return 0;
	__u64 now = ktime_ns();

	if (now >= hop->until_ns) {
		hop->until_ns = now + TRUSTED_NS;
		return 0;
	}
	return hop;
}

// What the kernel is to do with a frame whose headers are whole, of a flow that `to` is the way of.
inline_always int forward_frame(const struct frame *frame, const struct key *key, const struct passage *to, int is_v4)
{
	void *data = frame->data;
	struct udphdr *udp = at(struct udphdr, frame->udp_at);
	__u32 rtp_at = frame->udp_at + sizeof *udp, udp_len = net16(udp->len), clock;
	__u8 rtp[RTP_HEADER];

	if (frame->ip_len > to->longest || udp_len < sizeof *udp + RTP_HEADER || data + rtp_at + RTP_HEADER > frame->end)
		return XDP_PASS;
	__builtin_memcpy(rtp, data + rtp_at, RTP_HEADER);
	if (!carries(to, rtp, &clock) || !frame_is_rtp(frame, rtp, udp_len - sizeof *udp))
		return XDP_PASS;
	struct progress *seen = map_lookup(&progress, &to->place);
	struct hop *hop = seen && goes_on(to, seen, rtp) ? trusted(to) : 0;

	if (!hop || !readdress_frame(udp, key, to, is_v4))
		return XDP_PASS;
	if (is_v4) {
		struct iphdr *ip = at(struct iphdr, ETH_HLEN);

		readdress_v4(ip, to);
	} else {
		readdress_v6(at(struct ipv6hdr, ETH_HLEN), to);
	}
	__builtin_memcpy(at(struct ethhdr, 0)->h_dest, hop->target, ETH_ALEN);
	__builtin_memcpy(at(struct ethhdr, 0)->h_source, hop->source, ETH_ALEN);
	measure(seen, clock, rtp, udp_len - sizeof *udp);
	seen->as_frames++;
	// Also where it came from: XDP_TX leaves frames lying on virtual interfaces until something else comes.
	return redirect(to->ifindex, 0);
}

SEC("xdp")
int ringfort_frames(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 ifindex = context->ingress_ifindex, queue = context->rx_queue_index;
	struct door door = {};
	struct key key = {};
	struct frame frame = { .data = data, .end = end };
	int is_v4 = 0, hops_left;
	struct udphdr *udp;

	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return XDP_PASS;
	struct link *link = map_lookup(&links, &ifindex);

	if (!link || !is_ours(data, link))
		return XDP_PASS;
	if (at(struct ethhdr, 0)->h_proto == net16(ETH_P_IP)) {
		struct iphdr *ip = at(struct iphdr, ETH_HLEN);

		if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & net16(0x3fff))
			return XDP_PASS;
		is_v4 = 1;
		frame.udp_at = ETH_HLEN + sizeof *ip;
		frame.ip_len = net16(ip->tot_len);
		hops_left = ip->ttl;
		key.local[2] = key.peer[2] = net32(0xffff);
		key.local[3] = ip->daddr;
		key.peer[3] = ip->saddr;
	} else if (at(struct ethhdr, 0)->h_proto == net16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at(struct ipv6hdr, ETH_HLEN);

		if (data + ETH_HLEN + sizeof *ip + sizeof(struct udphdr) > end)
			return XDP_PASS;
		if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
		frame.udp_at = ETH_HLEN + sizeof *ip;
		frame.ip_len = sizeof *ip + net16(ip->payload_len);
		hops_left = ip->hop_limit;
		__builtin_memcpy(key.local, &ip->daddr, sizeof key.local);
		__builtin_memcpy(key.peer, &ip->saddr, sizeof key.peer);
	} else {
		return XDP_PASS;
	}
	udp = at(struct udphdr, frame.udp_at);
	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	key.local_port = udp->dest;
	key.peer_port = udp->source;
	if (link->forwards) {
		struct passage *to = map_lookup(&passages, &key);

		if (to) {
			__u32 datagram = net16(udp->len) + frame.udp_at - ETH_HLEN;

			if (hops_left <= 1 || frame.ip_len != datagram || data + ETH_HLEN + frame.ip_len > end || (!is_v4 && !udp->check))
				return XDP_PASS;
			return forward_frame(&frame, &key, to, is_v4);
		}
	}
	__builtin_memcpy(door.address, key.local, sizeof door.address);
	door.port = key.local_port;
	if (queue >= link->queues || !map_lookup(&doors, &door))
		return XDP_PASS;
	// Without a socket there it goes the usual way.
	return redirect_map(&sockets, link->first + queue, XDP_PASS);
}
