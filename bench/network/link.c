/*
 * A link between two network namespaces, for kernels without tc netem: rate, delay, loss and a queue, as netem has them, over two tun devices.
 * Run by bench/network/lab.mjs: link <namespace a> <namespace b> <bits a second> <one-way delay, us> <loss, per mille> <queue, bytes>
 * Says "up" when both devices (named fed0) exist; ends when its standard input does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 65536
/* What the kernel puts in front of a packet (linux/virtio_net.h). */
#define FRONT 10
#define MOST 65550
/* IPv4 and TCP with time stamps: what each packet has that a large one is cut into. */
#define HEADERS 52

struct packet { uint64_t due; uint32_t length; unsigned char *bytes; };
/* One direction: packets in the order in which they leave. */
struct direction { int from, to; uint64_t busy_until; struct packet *ring; unsigned head, tail; };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) { fprintf(stderr, "link: %s: %s\n", what, strerror(errno)); exit(1); }

/* A tun device inside a namespace of ip netns. Where no packet is to be lost, the kernel may leave it to the link to cut large ones, as to a network card. */
static int open_tun(const char *space, int large) {
  char path[256];
  snprintf(path, sizeof path, "/var/run/netns/%s", space);
  int target = open(path, O_RDONLY);
  if (target < 0 || setns(target, CLONE_NEWNET) < 0) fail(path);
  close(target);
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tun < 0) fail("/dev/net/tun");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  strcpy(request.ifr_name, "fed0");
  if (ioctl(tun, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  if (large && ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0) fail("TUNSETOFFLOAD");
  return tun;
}

/* How many bytes a link carries for it: a large packet travels as many of `gso_size`. */
static uint64_t wire_bytes(const unsigned char *packet, ssize_t length) {
  unsigned gso_size = packet[4] | packet[5] << 8;
  uint64_t bytes = length - FRONT;
  if (packet[1] == 0 || gso_size == 0) return bytes;
  uint64_t payload = bytes - HEADERS;
  return bytes + (payload + gso_size - 1) / gso_size * HEADERS - HEADERS;
}

static uint32_t random_state = 17;
static uint32_t next_random(void) { /* xorshift32: the same losses each time */
  random_state ^= random_state << 13; random_state ^= random_state >> 17; random_state ^= random_state << 5;
  return random_state;
}

int main(int count, char **args) {
  if (count != 7) { fprintf(stderr, "link: six arguments, see the head of link.c\n"); return 2; }
  double ns_a_byte = 8e9 / atof(args[3]);
  uint64_t delay = strtoull(args[4], 0, 10) * 1000ull;
  uint32_t loss = atoi(args[5]);
  uint64_t most = strtoull(args[6], 0, 10);
  struct direction ways[2] = {{0}, {0}};
  int a = open_tun(args[1], loss == 0), b = open_tun(args[2], loss == 0);
  ways[0].from = ways[1].to = a;
  ways[0].to = ways[1].from = b;
  for (int i = 0; i < 2; i++) if (!(ways[i].ring = malloc(sizeof(struct packet) * SLOTS))) fail("memory");
  puts("up");
  fflush(stdout);
  for (;;) {
    uint64_t now = now_ns(), next = now + 1000000000ull;
    for (int i = 0; i < 2; i++) {
      struct direction *way = &ways[i];
      for (int taken = 0; taken < 64; taken++) {
        static unsigned char packet[MOST];
        if (way->tail - way->head >= SLOTS) break;
        ssize_t length = read(way->from, packet, MOST);
        if (length <= FRONT) break;
        uint64_t start = way->busy_until > now ? way->busy_until : now;
        /* A full queue drops what comes, as a router does. */
        if ((start - now) / ns_a_byte > most || (loss && next_random() % 1000 < loss)) continue;
        struct packet *slot = &way->ring[way->tail % SLOTS];
        if (!(slot->bytes = malloc(length))) fail("memory");
        memcpy(slot->bytes, packet, length);
        way->busy_until = start + (uint64_t)(wire_bytes(packet, length) * ns_a_byte);
        slot->due = way->busy_until + delay;
        slot->length = length;
        way->tail++;
      }
      now = now_ns();
      while (way->head != way->tail && way->ring[way->head % SLOTS].due <= now) {
        struct packet *slot = &way->ring[way->head % SLOTS];
        if (write(way->to, slot->bytes, slot->length) < 0 && errno == EAGAIN) break;
        free(slot->bytes);
        way->head++;
      }
      if (way->head != way->tail && way->ring[way->head % SLOTS].due < next) next = way->ring[way->head % SLOTS].due;
    }
    struct pollfd polled[3] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {0, POLLIN, 0}};
    now = now_ns();
    uint64_t wait = next > now ? next - now : 0;
    struct timespec until = {wait / 1000000000ull, wait % 1000000000ull};
    ppoll(polled, 3, &until, 0);
    if (polled[2].revents) return 0;
  }
}
