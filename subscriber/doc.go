// Package subscriber receives what Spancast publishes, and loses nothing: each
// change of its topics is handed to a function once, in commit order per key,
// over restarts of publishers and of itself, failover, scale-out, messages that
// were dropped and connections that broke.
//
//	sub, err := subscriber.New(subscriber.Options{
//		Connect: []string{"tcp://spancast:5556"},
//		Topics:  []string{"Orders/"},
//		Cursor:  subscriber.FileCursor("/var/lib/indexer/cursor"),
//		OnGap:   func(g subscriber.Gap) error { … },
//	})
//	…
//	err = sub.Run(ctx, func(ctx context.Context, c *subscriber.Change) error {
//		return index.Apply(c.Topic, c.Body)
//	})
//
// Duties of the caller, in order: New; Run, once, in a goroutine of the caller's;
// in the handler, deal with the change before returning; at the end cancel Run's
// context and wait for it, since it saves the position then. Stats may be asked
// for at any time.
//
// It connects to all publishers that those of Options.Connect name, watches
// counters, epochs and resolved timestamps, and when something is missing asks
// a recovery endpoint, which they name as well, for a replay. docs/subscriber.md
// tells more; docs/protocol.md has the messages.
//
// Once means: the handler does not get a change again after it has returned nil,
// unless the process ends before the position was saved, which is at the end of
// Run and every Options.CursorInterval. Changes have a version by which a handler
// can tell that it has seen one.
package subscriber
