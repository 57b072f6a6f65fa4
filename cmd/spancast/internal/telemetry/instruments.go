package telemetry

import "strings"

// Kind is what an instrument measures.
type Kind string

// The kinds of instruments.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// An Instrument is one metric, under its OpenTelemetry name. Dashboards, alerts and
// the documentation are held to this list by tests.
type Instrument struct {
	Name  string
	Kind  Kind
	Unit  string // s, By, nothing, or in braces what is counted
	Desc  string
	Label string // the one attribute, if there is one; its values are few
}

// The names of the instruments.
const (
	WatermarkAge       = "spancast.watermark.age"
	FleetWatermarkAge  = "spancast.fleet.watermark.age"
	RetentionRemaining = "spancast.retention.remaining"
	Ready              = "spancast.ready"
	Build              = "spancast.build.info"
	Partitions         = "spancast.partitions"
	PartitionsOwned    = "spancast.partitions.owned"
	Orphaned           = "spancast.partitions.orphaned"
	Replicas           = "spancast.replicas"
	Records            = "spancast.records"
	Heartbeats         = "spancast.heartbeats"
	Duplicates         = "spancast.records.duplicate"
	Queries            = "spancast.queries"
	QueryRetries       = "spancast.query.retries"
	QueryEarlyEnds     = "spancast.query.early_ends"
	QueryStalls        = "spancast.query.stalls"
	Gaps               = "spancast.gaps"
	LeasesLost         = "spancast.leases.lost"
	MessagesSent       = "spancast.messages.sent"
	MessageBytes       = "spancast.message.bytes"
	MessagesDropped    = "spancast.messages.dropped"
	BatchesFenced      = "spancast.batches.fenced"
	TopicMessages      = "spancast.topic.messages"
	Subscribers        = "spancast.subscribers"
	Subscriptions      = "spancast.subscriptions"
	BufferBytes        = "spancast.buffer.bytes"
	BufferLimit        = "spancast.buffer.limit"
	RecoveryRunning    = "spancast.recovery.running"
	RecoveryLive       = "spancast.recovery.live"
	RecoveryWaiting    = "spancast.recovery.waiting"
	RecoveryBuffer     = "spancast.recovery.buffer"
	RecoveryAccepted   = "spancast.recovery.accepted"
	RecoveryRefused    = "spancast.recovery.refused"
	RecoveryEnded      = "spancast.recovery.ended"
	RecoveryMessages   = "spancast.recovery.messages"
	RecoveryBytes      = "spancast.recovery.bytes"
	QueueBytes         = "spancast.queue.bytes"
	SubscribersCut     = "spancast.subscribers.cut"
	ConnectionsIn      = "spancast.connections.accepted"
	ConnectionsRefused = "spancast.connections.refused"
	HandshakesDropped  = "spancast.handshakes.dropped"
	SessionsEnded      = "spancast.sessions.ended"
	ConfigReloads      = "spancast.config.reloads"
	PublishLag         = "spancast.publish.lag"
	ReadLag            = "spancast.read.lag"
	CheckpointDuration = "spancast.checkpoint.duration"
	StoreReadDuration  = "spancast.store.read.duration"
)

// Instruments lists all of them.
func Instruments() []Instrument {
	return []Instrument{
		{WatermarkAge, Gauge, "s", "age of the oldest position of the partitions that this replica reads", ""},
		{FleetWatermarkAge, Gauge, "s", "age of the oldest position of all partitions of the stream", ""},
		{RetentionRemaining, Gauge, "s", "time until the change stream drops what is not published yet", ""},
		{Ready, Gauge, "", "whether the replica is ready: 1 or 0", ""},
		{Build, Gauge, "", "always 1; the label is the version", "version"},
		{Partitions, Gauge, "{partition}", "partitions in the metadata table by state", "state"},
		{PartitionsOwned, Gauge, "{partition}", "partitions that this replica reads", ""},
		{Orphaned, Gauge, "{partition}", "unfinished partitions whose lease has run out and that nobody has taken", ""},
		{Replicas, Gauge, "{replica}", "replicas of the fleet that were seen lately", ""},
		{Records, Counter, "{record}", "data change records read", ""},
		{Heartbeats, Counter, "{heartbeat}", "heartbeats read", ""},
		{Duplicates, Counter, "{record}", "records that came once more and were not published again", ""},
		{Queries, Counter, "{query}", "partition queries opened", ""},
		{QueryRetries, Counter, "{query}", "partition queries that failed and were tried again", ""},
		{QueryEarlyEnds, Counter, "{query}", "partition queries that ended before their time", ""},
		{QueryStalls, Counter, "{query}", "partition queries that fell silent and were given up", ""},
		{Gaps, Counter, "{gap}", "partitions whose position was older than what the change stream keeps", ""},
		{LeasesLost, Counter, "{lease}", "partitions that another replica took from this one", ""},
		{MessagesSent, Counter, "{message}", "changes handed to the PUB socket", ""},
		{MessageBytes, Counter, "By", "bytes of the frames of those changes", ""},
		{MessagesDropped, Counter, "{message}", "messages that at least one slow subscriber missed when its queue filled up", ""},
		{BatchesFenced, Counter, "{batch}", "batches thrown away because their lease had run out; the next owner publishes them", ""},
		{TopicMessages, Counter, "{message}", "changes published under the busiest topics; never more than 50", "topic"},
		{Subscribers, Gauge, "{subscriber}", "connections that have subscribed, by audience; no more than 1,000 are counted of one", "audience"},
		{Subscriptions, Gauge, "{subscription}", "subscriptions that are active", ""},
		{BufferBytes, Gauge, "By", "bytes held between Spanner and the socket", ""},
		{BufferLimit, Gauge, "By", "most bytes that may be held there", ""},
		{RecoveryRunning, Gauge, "{answer}", "replays and snapshots that are worked on", ""},
		{RecoveryLive, Gauge, "{answer}", "replays without end that have caught up", ""},
		{RecoveryWaiting, Gauge, "{answer}", "replays and snapshots that wait for their turn", ""},
		{RecoveryBuffer, Gauge, "By", "bytes held for replays and snapshots", ""},
		{RecoveryAccepted, Counter, "{answer}", "requests for replays and snapshots that were accepted", ""},
		{RecoveryRefused, Counter, "{request}", "requests at the recovery endpoint that were refused", ""},
		{RecoveryEnded, Counter, "{answer}", "replays and snapshots that have ended, by reason", "reason"},
		{RecoveryMessages, Counter, "{message}", "changes and rows sent for replays and snapshots", ""},
		{RecoveryBytes, Counter, "By", "bytes of the frames of those", ""},
		{QueueBytes, Gauge, "By", "bytes of bodies from 8 KiB that wait in the queues of subscribers, each counted once", ""},
		{SubscribersCut, Counter, "{connection}", "connections that were ended because too much of those waited for their subscribers", ""},
		{ConnectionsIn, Counter, "{connection}", "connections that were let in by their key", ""},
		{ConnectionsRefused, Counter, "{connection}", "connections that were refused: unknown, other_domain, expired, banned or revoked keys", "reason"},
		{HandshakesDropped, Counter, "{connection}", "connections that ended before their key was known: without a handshake in time, or with one that is false", ""},
		{SessionsEnded, Counter, "{session}", "sessions that were ended because their grant did, or because they asked for too much; all of their domain connect again", ""},
		{ConfigReloads, Counter, "{reload}", "configuration files that changed, by result", "result"},
		{PublishLag, Histogram, "s", "time from a commit to its hand-over to the socket; one value a millisecond at most", ""},
		{ReadLag, Histogram, "s", "time from a commit or heartbeat to its arrival; one value a millisecond and partition at most", ""},
		{CheckpointDuration, Histogram, "s", "duration of transactions on the metadata tables, by result", "result"},
		{StoreReadDuration, Histogram, "s", "duration of reads of the metadata tables, by result", "result"},
	}
}

// lagBuckets and durationBuckets are in seconds: those of OpenTelemetry are made
// for milliseconds.
func lagBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
}

func durationBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// Prometheus is the name that an instrument has at /metrics.
func (i Instrument) Prometheus() string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	switch i.Unit {
	case "s":
		name += "_seconds"
	case "By":
		if !strings.HasSuffix(name, "_bytes") {
			name += "_bytes"
		}
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}
