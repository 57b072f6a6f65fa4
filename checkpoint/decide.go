package checkpoint

import (
	"slices"
	"time"

	"github.com/spancast/spancast/changestream"
)

// rows are partitions as they are stored, by token.
type rows map[changestream.PartitionToken]changestream.Partition

// A write is one partition to be stored, or removed.
type write struct {
	changestream.Partition
	isNew   bool
	remove  bool
	renewal bool // only position and expiry differ from what is stored
	moved   bool // MovedAt and MovedTo differ, too
}

// decide applies a commit to the rows that it names and returns what is to be
// written. Rows must hold every partition of tokens(c) that is stored, with its
// state, end, position, owner, epoch and expiry.
func decide(current rows, known facts, c changestream.Commit) ([]write, changestream.Result) {
	d := decision{current: current, known: known, commit: c, written: make(map[changestream.PartitionToken]int)}
	d.roots()
	for _, u := range c.Updates {
		d.update(u)
	}
	for _, t := range c.Takes {
		d.take(t)
	}
	for _, token := range c.Remove {
		if p, ok := current[token]; ok && p.State == changestream.Finished {
			d.put(write{Partition: p, remove: true})
		}
	}
	return d.writes, d.result
}

// facts are what a commit depends on besides the partitions that it names.
type facts struct {
	planted  bool            // the stream has partitions; for commits with roots
	replicas map[string]bool // that there are; for those named by heirs(c)
}

// heirs are the replicas that a commit hands partitions to.
func heirs(c changestream.Commit) []string {
	var out []string
	for _, u := range c.Updates {
		if u.To != "" && !slices.Contains(out, u.To) {
			out = append(out, u.To)
		}
	}
	return out
}

// tokens are the partitions that a commit reads or writes.
func tokens(c changestream.Commit) []changestream.PartitionToken {
	var out []changestream.PartitionToken
	for _, u := range c.Updates {
		out = append(out, u.Token)
		for _, child := range u.Children {
			out = append(out, child.Token)
		}
	}
	for _, t := range c.Takes {
		out = append(out, t.Token)
	}
	return append(out, c.Remove...)
}

type decision struct {
	current rows
	known   facts
	commit  changestream.Commit
	writes  []write
	written map[changestream.PartitionToken]int // place in writes
	result  changestream.Result
}

// put notes a write; of several of one partition the last counts.
func (d *decision) put(w write) {
	if i, ok := d.written[w.Token]; ok {
		was := &d.writes[i]
		w.isNew, w.renewal, w.moved = was.isNew, w.renewal && was.renewal, w.moved || was.moved
		d.writes[i] = w
	} else {
		d.written[w.Token] = len(d.writes)
		d.writes = append(d.writes, w)
	}
	d.current[w.Token] = w.Partition
}

func (d *decision) roots() {
	if len(d.commit.Roots) == 0 {
		return
	}
	if d.result.RootsExist = d.known.planted; d.known.planted {
		return
	}
	for _, p := range d.commit.Roots {
		p.CreatedAt = d.commit.Now
		d.put(write{Partition: p, isNew: true})
	}
}

func (d *decision) update(u changestream.Update) {
	p, ok := d.current[u.Token]
	if !ok || p.Owner != d.commit.Owner || p.Epoch != u.Epoch || p.State == changestream.Finished {
		d.result.Lost = append(d.result.Lost, u.Token)
		return
	}
	if u.Position.After(p.Position) {
		p.Position = truncate(u.Position)
	}
	renewal := p.End.Equal(truncate(u.End)) && !u.Finished && u.To == "" && !u.Expiry.IsZero()
	p.End, p.Expiry = truncate(u.End), truncate(u.Expiry)
	switch {
	case u.Finished:
		p.State, p.FinishedAt, p.Owner, p.Expiry = changestream.Finished, d.commit.Now, "", time.Time{}
	case u.To != "" && d.known.replicas[u.To]:
		p.Owner, p.Epoch, p.End = u.To, p.Epoch+1, time.Time{}
	case u.To != "", u.Expiry.IsZero():
		p.Owner, p.Expiry = "", time.Time{}
	}
	moved := !u.MovedAt.IsZero()
	if moved {
		p.MovedAt, p.MovedTo = truncate(u.MovedAt), u.MovedTo
	}
	d.put(write{Partition: p, renewal: renewal && !moved, moved: moved})
	for _, child := range u.Children {
		d.child(child)
	}
}

func (d *decision) child(child changestream.Partition) {
	if _, exists := d.current[child.Token]; exists {
		if child.Owner != "" {
			d.result.NotTaken = append(d.result.NotTaken, child.Token)
		}
		return
	}
	child.CreatedAt = d.commit.Now
	d.put(write{Partition: child, isNew: true})
}

func (d *decision) take(t changestream.Take) {
	p, ok := d.current[t.Token]
	if !ok || p.Epoch != t.Epoch || p.State == changestream.Finished ||
		p.Owner != "" && p.Owner != d.commit.Owner && p.Expiry.After(d.commit.Now) {
		d.result.NotTaken = append(d.result.NotTaken, t.Token)
		return
	}
	p.Owner, p.Epoch, p.Expiry, p.State, p.End = d.commit.Owner, t.Epoch+1, t.Expiry, changestream.Running, time.Time{}
	d.put(write{Partition: p})
}

// truncate brings a position to the precision that every dialect keeps. It is
// never later than it was.
func truncate(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
