package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spancast/spancast/topics"
)

// Validate checks everything that can be checked without connecting, and returns
// all faults, each of which names its variable. Needs are the variables, without
// prefix, that must be set.
func (l *Loaded) Validate(needs ...string) error {
	var faults []error
	for _, v := range l.vars {
		if v.err != nil && v.Source() != FromFlag {
			faults = append(faults, fmt.Errorf("%s: %w", v.Name, v.err))
		}
	}
	faults = append(faults, l.unknown...)
	for _, need := range needs {
		if v := l.variable(need); v.err == nil && v.Value() == "" {
			faults = append(faults, fmt.Errorf("%s is required: %s", v.Name, strings.TrimSuffix(v.Desc, " (required)")))
		}
	}
	for _, check := range []func() error{l.checkNames, l.checkTimes, l.checkNumbers, l.checkEndpoints, l.checkRules, l.checkAccess} {
		faults = append(faults, check())
	}
	return errors.Join(faults...)
}

// ValidateForwarder is Validate for a forwarder, which has two sides and needs
// both.
func (l *Loaded) ValidateForwarder() error {
	var faults []error
	for name, side := range map[string]struct {
		endpoints Endpoints
		of        string
	}{"BIND": {l.Bind, "subscribers"}, "FORWARD_BIND": {l.ForwardBind, "publishers"}} {
		if len(side.endpoints) == 0 && l.variable(name).err == nil {
			faults = append(faults, fmt.Errorf("%s_%s: a forwarder needs an endpoint for %s", Prefix, name, side.of))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	return l.Validate()
}

func (l *Loaded) variable(name string) *Var {
	for _, v := range l.vars {
		if v.Name == Prefix+"_"+name {
			return v
		}
	}
	panic("no variable " + name) // a name in this program's own code
}

func (l *Loaded) checkNames() error {
	if strings.ContainsAny(l.ChangeStream, "`\"' \t\n/") {
		return fmt.Errorf("%s_CHANGE_STREAM: %q is not the name of a change stream", Prefix, l.ChangeStream)
	}
	return nil
}

func (l *Loaded) checkTimes() error {
	var faults []error
	within := func(name string, d, low, high time.Duration) {
		if v := l.variable(name); v.err == nil && (d < low || d > high) {
			faults = append(faults, fmt.Errorf("%s: %s is not between %s and %s", v.Name, shortDuration(d), shortDuration(low), shortDuration(high)))
		}
	}
	within("HEARTBEAT", l.Heartbeat, 100*time.Millisecond, 5*time.Minute)
	within("QUERY_WINDOW", l.QueryWindow, time.Second, 30*time.Minute)
	within("RESOLVED_INTERVAL", l.ResolvedInterval, 10*time.Millisecond, time.Hour)
	within("CHECKPOINT_INTERVAL", l.CheckpointInterval, 50*time.Millisecond, time.Minute)
	within("CHECKPOINT_LAG", l.CheckpointLag, 0, 10*time.Minute)
	within("BLOCK_TIMEOUT", l.BlockTimeout, 0, 5*time.Minute)
	within("ZMTP_HEARTBEAT", l.ZMTPHeartbeat, 0, 10*time.Minute)
	within("LEASE", l.Lease, time.Second, 10*time.Minute)
	if l.variable("QUERY_WINDOW").err == nil && l.variable("HEARTBEAT").err == nil && l.QueryWindow <= l.Heartbeat {
		faults = append(faults, fmt.Errorf("%s_QUERY_WINDOW: %s is not longer than %s_HEARTBEAT (%s); a query could end before it says how far a quiet partition is",
			Prefix, shortDuration(l.QueryWindow), Prefix, shortDuration(l.Heartbeat)))
	}
	if l.variable("LEASE").err == nil && l.Lease < 3*l.CheckpointInterval {
		faults = append(faults, fmt.Errorf("%s_LEASE: %s is less than three times %s_CHECKPOINT_INTERVAL (%s); it could run out between two renewals",
			Prefix, shortDuration(l.Lease), Prefix, shortDuration(l.CheckpointInterval)))
	}
	return errors.Join(faults...)
}

func (l *Loaded) checkNumbers() error {
	var faults []error
	if l.SendHWM < 1 {
		faults = append(faults, fmt.Errorf("%s_SEND_HWM: %d is less than 1; without a limit a stalled subscriber fills the memory", Prefix, l.SendHWM))
	}
	if l.IOThreads < 0 || l.IOThreads > 64 {
		faults = append(faults, fmt.Errorf("%s_IO_THREADS: %d is not between 0 and 64", Prefix, l.IOThreads))
	}
	if l.MaxBuffer < 1<<20 && l.variable("MAX_BUFFER").err == nil {
		faults = append(faults, fmt.Errorf("%s_MAX_BUFFER: %s is less than 1MiB", Prefix, textOf(l.variable("MAX_BUFFER").field)))
	}
	if l.MaxPartitions < 0 {
		faults = append(faults, fmt.Errorf("%s_MAX_PARTITIONS: %d is less than 0", Prefix, l.MaxPartitions))
	}
	return errors.Join(faults...)
}

func (l *Loaded) checkEndpoints() error {
	var faults []error
	if len(l.Bind)+len(l.Connect) == 0 && l.variable("BIND").err == nil && l.variable("CONNECT").err == nil {
		faults = append(faults, fmt.Errorf("%s_BIND and %s_CONNECT are both empty: there is nowhere to publish", Prefix, Prefix))
	}
	if l.AllowInsecure {
		return errors.Join(faults...)
	}
	for name, endpoints := range map[string]Endpoints{"BIND": l.Bind, "CONNECT": l.Connect, "RECOVERY_BIND": l.RecoveryBind, "FORWARD_BIND": l.ForwardBind} {
		secured := l.Secured()
		if name == "CONNECT" {
			secured = l.ConnectSecured()
		}
		if open := endpoints.open(); len(open) > 0 && !secured {
			faults = append(faults, fmt.Errorf("%s_%s: %s is not a loopback address, and anybody who reaches it could read the changes; %s",
				Prefix, name, strings.Join(open, ", "), wayOut(name)))
		}
	}
	return errors.Join(faults...)
}

func (l *Loaded) checkRules() error {
	if l.TopicRulesFile == "" {
		return nil
	}
	if _, _, err := topics.OpenRules(l.TopicRulesFile); err != nil {
		return fmt.Errorf("%s_TOPIC_RULES_FILE: %w", Prefix, err)
	}
	return nil
}

// Target is how a database is reached.
type Target struct {
	Database  Database
	Endpoint  string // host:port, empty for Google's
	PlainText bool   // without TLS and credentials: a loopback address or an emulator
}

// Source is the database of the change stream.
func (l *Loaded) Source() Target { return l.target(l.Database, l.SpannerEndpoint) }

// Metadata is the database of the metadata tables.
func (l *Loaded) Metadata() Target {
	database, endpoint := l.MetadataDatabase, l.MetadataEndpoint
	if database == "" {
		database = l.Database
	}
	if endpoint == "" && database.Instance() == l.Database.Instance() {
		endpoint = l.SpannerEndpoint
	}
	return l.target(database, endpoint)
}

func (l *Loaded) target(d Database, e Endpoint) Target {
	if e == "" && l.emulator != "" {
		return Target{Database: d, Endpoint: l.emulator, PlainText: true}
	}
	return Target{Database: d, Endpoint: string(e), PlainText: e.Loopback()}
}
