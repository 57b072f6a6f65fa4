// Package topics decides which topics a change belongs to. It is pure: names,
// templates and rules go in, topics come out.
//
// A topic is a path whose segments all end in '/', so that a subscription to
// "Orders/" does not match "OrdersArchive/". Templates say how it is made:
//
//	{table}/{op}/                 sales.Orders/UPDATE/
//	{database}/{table}/{key}/     shop/sales.Orders/4711/3/
//
// Placeholders are {database}, {stream}, {schema}, {table} (with its schema),
// {op} (INSERT, UPDATE, DELETE, READ), {key} (all key values in the order of
// their columns, each a segment), {key.NAME} and {tag} (transaction tag).
// Segments that begin with '$' are Spancast's own.
//
// Values are escaped so that different values never give one topic: '/', '%', a
// leading '$' and control characters as %XX, NULL as %-, the empty string as %+.
// A topic has at most MaxLen bytes; see cut for what gives way.
//
// Levels of a topic are its prefixes at segment borders, the empty one included.
// Those above the first segment that is made from row data ({key}, {key.NAME},
// {tag}) can be counted: there are few of them.
//
// Use: New makes a Router of a template and rules; each goroutine takes its own
// Planner from it and asks for the Routes of every change.
package topics
