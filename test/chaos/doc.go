// Package chaos runs several spancast processes on one change stream, lets
// everything go wrong that may, and proves from what was committed, published
// and logged that the promises P1, P2, P3 and P5 were kept.
//
//	writers --> Spanner --link--> replica 0..4 --link--> subscriber
//	              ^                   |  ^                   |
//	              +------ link -------+  signals             v
//	                   (metadata)        from events      checker
//
// An Arena is all of that. Writers commit transactions that they remember;
// events, drawn at random from a seed, kill and pause replicas, cut and stall
// their connections, and break Spanner; then all is let come to rest, and the
// checker compares. Rest, comparison and all make a round; a long run is many
// rounds, so that what goes wrong is found soon.
//
// Three things make the proof possible. Every write has a number of its own, so
// that a published change names the write it came from. Every replica logs,
// before it publishes, from which message on by its root counter, for which
// partition and by which lease epoch (at debug level), so that each message has
// a time and a right. And a replica publishes nothing while nobody subscribes
// (REQUIRE_SUBSCRIBER), so that the one subscriber, whose queue has no limit,
// misses only what dies with a replica, which is what CHECKPOINT_LAG is for.
package chaos
