// Package config is the configuration of spancast: one struct, read from
// environment variables with the prefix SPANCAST_ and from flags of the same
// names, which override them.
//
// Load finds all faults at once, each with the variable's name; secret values
// never appear in them. The struct is also where the documentation of the
// variables comes from.
package config

import (
	"log/slog"
	"time"
)

// Prefix of the environment variables.
const Prefix = "SPANCAST"

// Config is what can be set. A field's variable is its name in capitals, with
// underscores between words; its flag the same in small letters with hyphens.
// Tags: default, desc (for people, with the unit where it is not plain).
type Config struct {
	Database         Database `split_words:"true" desc:"database that has the change stream: projects/P/instances/I/databases/D (required)"`
	ChangeStream     string   `split_words:"true" desc:"name of the change stream (required)"`
	MetadataDatabase Database `split_words:"true" desc:"database of the metadata tables; SPANCAST_DATABASE when empty"`
	SpannerEndpoint  Endpoint `split_words:"true" desc:"host:port of Spanner, instead of SPANNER_EMULATOR_HOST or Google's; plain text if it is a loopback address"`
	MetadataEndpoint Endpoint `split_words:"true" desc:"the same for the metadata database; SPANCAST_SPANNER_ENDPOINT when empty and the databases are of one instance"`
	MetadataPrefix   Prefixed `split_words:"true" default:"Spancast" desc:"prefix of the names of the metadata tables"`
	DatabaseRole     string   `split_words:"true" desc:"database role for fine-grained access control"`

	StartAt     StartAt       `split_words:"true" default:"now" desc:"where to begin on the first run: now, an RFC 3339 time, or a duration back"`
	OnGap       GapPolicy     `split_words:"true" default:"stop" desc:"when a position is older than what the stream keeps: stop that partition, or skip to the oldest time that can be read"`
	QueryWindow time.Duration `split_words:"true" default:"2m" desc:"length of one query of a partition"`
	Heartbeat   time.Duration `split_words:"true" default:"2s" desc:"interval of the change stream's heartbeats, 1s to 5m (Google's emulator: from 100ms)"`

	Bind         Endpoints `split_words:"true" default:"tcp://127.0.0.1:5556" desc:"endpoints that the PUB socket binds, comma separated, or none"`
	Connect      Endpoints `split_words:"true" desc:"forwarders that the PUB socket connects to, comma separated"`
	Advertise    Endpoints `split_words:"true" desc:"endpoints that subscribers are told; derived from those bound when empty"`
	RecoveryBind Endpoints `split_words:"true" default:"tcp://127.0.0.1:5557" desc:"endpoints that the recovery socket (ROUTER) binds, comma separated, or none"`
	ForwardBind  Endpoints `split_words:"true" default:"tcp://127.0.0.1:5555" desc:"endpoints that spancast forward binds for publishers, comma separated"`
	HTTP         Listen    `default:"127.0.0.1:8080" desc:"host:port of health checks, metrics, API and status page, or none"`
	HTTPCertFile string    `split_words:"true" desc:"PEM file of the certificate, and those between it and the root, with which HTTP is HTTPS; it is watched"`
	HTTPKeyFile  string    `split_words:"true" desc:"PEM file of its private key; it is watched"`
	Profile      bool      `default:"false" desc:"offer profiles at /debug/pprof/ of that port, to this machine only"`

	Topic          Template `split_words:"true" default:"{table}/{op}/" desc:"topic template; see docs/topics.md"`
	TopicRulesFile string   `split_words:"true" desc:"YAML file of topic rules; see docs/topics.md"`
	Format         Format   `split_words:"true" default:"native" desc:"body of the messages: native, cloudevents, debezium"`

	IOThreads      int           `split_words:"true" default:"0" desc:"threads that write to subscribers; 0: one for every four processors"`
	SendHWM        int           `split_words:"true" default:"20000" desc:"messages queued for one subscriber before it counts as slow"`
	SlowSubscriber SlowPolicy    `split_words:"true" default:"drop" desc:"a slow subscriber loses messages (drop), or all wait for it up to SPANCAST_BLOCK_TIMEOUT (block)"`
	BlockTimeout   time.Duration `split_words:"true" default:"5s" desc:"see SPANCAST_SLOW_SUBSCRIBER"`
	ZMTPHeartbeat  time.Duration `split_words:"true" default:"0s" desc:"interval of ZMTP heartbeats, 0 for none; they cut stalled subscribers, but some pure-language clients cannot answer them"`

	MaxBuffer          Size          `split_words:"true" default:"256MiB" desc:"bytes held between Spanner and the socket, all partitions together"`
	ResolvedInterval   time.Duration `split_words:"true" default:"1s" desc:"how often resolved timestamps are published"`
	CheckpointInterval time.Duration `split_words:"true" default:"1s" desc:"how often positions are saved"`
	CheckpointLag      time.Duration `split_words:"true" default:"2s" desc:"how far saved positions trail what was published"`
	Lease              time.Duration `split_words:"true" default:"10s" desc:"how long a partition is held without renewal"`
	MaxPartitions      int           `split_words:"true" default:"0" desc:"most partitions that this replica takes; 0: no limit"`
	RequireSubscriber  bool          `split_words:"true" default:"false" desc:"publish nothing, and so move no position, while nobody is subscribed"`

	CurveSecretKey       Secret  `split_words:"true" desc:"secret key of the sockets, from spancast keygen; two while one is replaced by the other; better in a file"`
	CurveSecretKeyFile   string  `split_words:"true" desc:"file with the same; it is watched"`
	CurveRotationOffset  int     `split_words:"true" default:"100" desc:"ports between an endpoint and the one with the second secret key"`
	ConnectServerKey     string  `split_words:"true" desc:"public key of the forwarders of SPANCAST_CONNECT, which know us by the public key of SPANCAST_CURVE_SECRET_KEY; two while one is replaced by the other"`
	ConnectServerKeyFile string  `split_words:"true" desc:"file with the same; it is watched"`
	AccessFile           string  `split_words:"true" desc:"YAML file of audiences, identities and grants; it is watched; see docs/security.md"`
	OIDCIssuers          Issuers `split_words:"true" desc:"issuers whose ID tokens are good for POST /v1/enroll, comma separated; see docs/security.md"`
	OIDCAudience         string  `split_words:"true" desc:"audience that the ID tokens must be for"`
	AllowInsecure        bool    `split_words:"true" default:"false" desc:"allow endpoints that are not loopback without CURVE: whoever reaches them reads everything"`

	LogLevel  Level     `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat LogFormat `split_words:"true" desc:"json or text; when empty, text on a terminal and json elsewhere"`
}

// Level is a log level.
type Level struct{ slog.Level }
