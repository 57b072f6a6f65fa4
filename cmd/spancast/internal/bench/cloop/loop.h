#ifndef SPANCAST_BENCH_LOOP_H
#define SPANCAST_BENCH_LOOP_H

#include <stddef.h>
#include <stdint.h>

/* Latencies are counted in buckets: 16 to every doubling of nanoseconds. */
enum { BUCKETS = 64 * 16, SAMPLE = 1 << 20, BURST = 64 };

/* A receiver: SUB sockets of one thread. Everything but the configuration is
 * read by others while it runs. */
typedef struct {
	void **sockets;
	int n;
	int stop;
	int error;

	uint64_t messages; /* changes, of all sockets */
	uint64_t bytes;    /* of their frames */
	uint64_t controls;
	uint64_t least; /* changes of the socket that has fewest, when n > 1 */
	uint64_t latency[BUCKETS];

	int sampled; /* frames of the first change are in sample, behind one another */
	size_t lengths[3];
	char sample[SAMPLE];
	uint64_t *each;
} receiver;

void receive(receiver *r);

/* A sender: one XPUB socket and one message, sent over and over: as fast as it goes,
 * or so many a second, BURST at a time, with the time in their header. */
typedef struct {
	void *socket;
	int stop;
	int error;
	int64_t rate; /* 0: as fast as it goes */
	uint64_t messages;
	char *frames[3];
	size_t lengths[3];
} sender;

/* await waits until n subscriptions have come; -1 when that fails or it is stopped. */
int await(sender *s, int n);
void send_all(sender *s);

#endif
