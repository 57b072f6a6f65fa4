package fleet

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes the fleet as text.
func (f *Fleet) Print(w io.Writer) {
	fmt.Fprintf(w, "change stream  %s\n", f.Stream)
	if f.Resolved.IsZero() {
		fmt.Fprintf(w, "resolved       -\n")
	} else {
		fmt.Fprintf(w, "resolved       %s, %s behind\n", Time(f.Resolved), Duration(f.Lag))
	}
	fmt.Fprintf(w, "partitions     %d running, %d waiting, %d finished\n", f.Counts.Running, f.Counts.Created, f.Counts.Finished)
	fmt.Fprintf(w, "replicas       %d running\n\n", f.live())
	t := table(w, "REPLICA", "PARTITIONS", "OLDEST POSITION", "LAST SEEN", "ENDPOINTS")
	for _, r := range f.Replicas {
		seen := f.ago(r.LastSeen) + " ago"
		if !r.Live {
			seen += " (gone)"
		}
		partitions := fmt.Sprint(r.Partitions)
		if r.Capacity > 0 {
			partitions += fmt.Sprintf(" of %d", r.Capacity)
		}
		row(t, r.ID, partitions, Time(r.Oldest), seen, strings.Join(r.Endpoints, ","))
	}
	t.Flush()
	for i, line := range f.Trouble {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "! %s\n", line)
	}
}

func (f *Fleet) live() (n int) {
	for _, r := range f.Replicas {
		if r.Live {
			n++
		}
	}
	return n
}

// PrintPartitions writes partitions as a table.
func PrintPartitions(w io.Writer, partitions []Partition) {
	t := table(w, "PARTITION", "STATE", "OWNER", "EPOCH", "LEASE LEFT", "POSITION", "LAG", "START", "END", "PARENTS")
	for _, p := range partitions {
		owner, left, lag := "-", "-", "-"
		if p.Owner != "" {
			owner, left = p.Owner, Duration(p.LeaseLeft)
		}
		if order(p.State) == 0 {
			lag = Duration(p.Lag)
		}
		row(t, p.Partition, p.State, owner, fmt.Sprint(p.Epoch), left, Time(p.Position), lag, Time(p.Start), Time(p.End), fmt.Sprint(p.Parents))
	}
	t.Flush()
}

func table(w io.Writer, columns ...string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(t, columns...)
	return t
}

func row(t *tabwriter.Writer, cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
