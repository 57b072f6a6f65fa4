#include "loop.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add(p, v) store(p, load(p) + (v)) /* one thread writes */

enum { TURN = 64 }; /* messages of one socket before the next has its turn */

static int64_t digits(const char *s, int n)
{
	int64_t v = 0;
	while (n--)
		v = 10 * v + *s++ - '0';
	return v;
}

/* The commit timestamp begins the header: 2026-11-20T09:54:00.123456000Z. The
 * time of day is enough, but for midnight. */
static void count_latency(receiver *r, const char *header, size_t size)
{
	const int64_t day = 86400 * INT64_C(1000000000);
	struct timespec now;
	if (size < 30 || header[10] != 'T')
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t commit = (digits(header + 11, 2) * 3600 + digits(header + 14, 2) * 60 + digits(header + 17, 2)) * INT64_C(1000000000) + digits(header + 20, 9);
	int64_t took = (now.tv_sec % 86400) * INT64_C(1000000000) + now.tv_nsec - commit;
	if (took < -day / 2)
		took += day;
	if (took < 16)
		took = 16;
	int high = 63 - __builtin_clzll((uint64_t)took);
	add(&r->latency[high * 16 + ((took >> (high - 4)) & 15)], 1);
}

static void take_sample(receiver *r, zmq_msg_t *frame)
{
	size_t at = 0;
	for (int i = 0; i < 3; i++) {
		size_t n = zmq_msg_size(&frame[i]);
		if (at + n > SAMPLE)
			return;
		memcpy(r->sample + at, zmq_msg_data(&frame[i]), n);
		r->lengths[i] = n;
		at += n;
	}
	__atomic_store_n(&r->sampled, 1, __ATOMIC_RELEASE);
}

/* receive_one takes a message of three frames; 0 when there is none. */
static int receive_one(receiver *r, int i, zmq_msg_t *frame, int flags)
{
	size_t size = 0;
	int n = 0, more = 1;
	while (more) {
		int k = n < 3 ? n : 2;
		if (zmq_msg_recv(&frame[k], r->sockets[i], n ? 0 : flags) < 0) {
			if (errno == EINTR && !load(&r->stop))
				continue;
			if (errno != EAGAIN && errno != EINTR)
				store(&r->error, errno);
			return 0;
		}
		size += zmq_msg_size(&frame[k]);
		more = zmq_msg_more(&frame[k]);
		n++;
	}
	if (n != 3 || memchr(zmq_msg_data(&frame[0]), '$', zmq_msg_size(&frame[0]))) {
		add(&r->controls, 1);
		return 1;
	}
	if (!r->sampled)
		take_sample(r, frame);
	count_latency(r, zmq_msg_data(&frame[1]), zmq_msg_size(&frame[1]));
	r->each[i]++;
	add(&r->bytes, size);
	add(&r->messages, 1);
	return 1;
}

static void receive_many(receiver *r, zmq_msg_t *frame)
{
	zmq_pollitem_t items[1024];
	for (int i = 0; i < r->n; i++)
		items[i] = (zmq_pollitem_t){.socket = r->sockets[i], .events = ZMQ_POLLIN};
	while (!load(&r->stop) && !load(&r->error)) {
		if (zmq_poll(items, r->n, 100) <= 0)
			continue;
		uint64_t least = UINT64_MAX;
		for (int i = 0; i < r->n; i++) {
			for (int k = 0; items[i].revents && k < TURN && receive_one(r, i, frame, ZMQ_DONTWAIT); k++)
				;
			if (r->each[i] < least)
				least = r->each[i];
		}
		store(&r->least, least);
	}
}

void receive(receiver *r)
{
	zmq_msg_t frame[3];
	for (int i = 0; i < 3; i++)
		zmq_msg_init(&frame[i]);
	if (r->n > 1)
		receive_many(r, frame);
	while (!load(&r->stop) && !load(&r->error))
		receive_one(r, 0, frame, 0);
	for (int i = 0; i < 3; i++)
		zmq_msg_close(&frame[i]);
}

int await(sender *s, int n)
{
	char b[512];
	while (n > 0 && !load(&s->stop)) {
		int got = zmq_recv(s->socket, b, sizeof b, 0);
		if (got < 0 && errno != EAGAIN && errno != EINTR) {
			store(&s->error, errno);
			return -1;
		}
		if (got > 0 && b[0] == 1)
			n--;
	}
	return n > 0 ? -1 : 0;
}

static void put_digits(char *s, int n, int64_t v)
{
	while (n--) {
		s[n] = '0' + v % 10;
		v /= 10;
	}
}

/* stamp writes the time of day where count_latency reads it. */
static void stamp(char *header, size_t size)
{
	struct timespec now;
	if (size < 30)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	put_digits(header + 11, 2, now.tv_sec / 3600 % 24);
	put_digits(header + 14, 2, now.tv_sec / 60 % 60);
	put_digits(header + 17, 2, now.tv_sec % 60);
	put_digits(header + 20, 9, now.tv_nsec);
}

/* pace waits until the next burst is due. */
static void pace(const sender *s, const struct timespec *began)
{
	const int64_t second = INT64_C(1000000000);
	struct timespec due = *began;
	due.tv_sec += s->messages / s->rate;
	due.tv_nsec += s->messages % s->rate * second / s->rate;
	due.tv_sec += due.tv_nsec / second;
	due.tv_nsec %= second;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

void send_all(sender *s)
{
	struct timespec began;
	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!load(&s->stop)) {
		if (s->rate > 0 && s->messages % BURST == 0) {
			pace(s, &began);
			stamp(s->frames[1], s->lengths[1]);
		}
		for (int i = 0; i < 3; i++) {
			int flags = i < 2 ? ZMQ_SNDMORE : 0;
			while (zmq_send(s->socket, s->frames[i], s->lengths[i], flags) < 0) {
				if (load(&s->stop) && i == 0)
					return;
				if (errno != EAGAIN && errno != EINTR) {
					store(&s->error, errno);
					return;
				}
			}
		}
		add(&s->messages, 1);
	}
}
