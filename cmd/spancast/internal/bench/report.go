package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/version"
)

// A Report is what was measured.
type Report struct {
	Version     string
	Began       time.Time
	Took        string
	Machine     Machine
	Duration    string // of each measurement
	Interrupted bool   `json:",omitempty"`
	Tables      []*Table
}

// A Machine is where it was measured.
type Machine struct {
	Processor string
	Cores     int
	System    string
	Go        string
	Load      float64 // average of the minute before: what else there was to do
}

// A Table is what a section measured.
type Table struct {
	Name, Title string
	Columns     []Column
	Rows        []Row
	Notes       []string `json:",omitempty"`
}

// A Unit says how a number is written.
type Unit string

// The units.
const (
	PerSecond Unit = "1/s"
	Nanos     Unit = "ns"
	Times     Unit = "times"   // of something else
	Percent   Unit = "percent" // the number is 1 for all
	Bytes     Unit = "bytes"
	Count     Unit = "count"
)

// A Column is one number of every row.
type Column struct {
	Key  string // in JSON
	Head string
	Unit Unit
	Bar  bool `json:"-"` // whether it is in the picture
}

// A Row is a measurement. Numbers that there are not are NaN.
type Row struct {
	Name   string
	Values []float64
}

func newReport(d time.Duration) *Report {
	return &Report{Version: version.Number, Began: time.Now(), Duration: d.String(), Machine: Machine{
		Processor: processor(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Load: load(),
	}}
}

func (t *Table) add(name string, values ...float64) { t.Rows = append(t.Rows, Row{name, values}) }

func (t *Table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// MarshalJSON writes a row's numbers by the keys of the columns.
func (t *Table) MarshalJSON() ([]byte, error) {
	rows := []map[string]any{}
	for _, row := range t.Rows {
		m := map[string]any{"name": row.Name}
		for i, v := range row.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				m[t.Columns[i].Key] = v
			}
		}
		rows = append(rows, m)
	}
	units := map[string]Unit{}
	for _, c := range t.Columns {
		units[c.Key] = c.Unit
	}
	return json.Marshal(map[string]any{"name": t.Name, "title": t.Title, "units": units, "rows": rows, "notes": t.Notes})
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "spancast %s on %s, %d cores, %s, %s; load before: %.2f; %s each, %s in all\n", r.Version, m.Processor, m.Cores, m.System, m.Go, m.Load, r.Duration, r.Took)
	if r.Interrupted {
		b.WriteString("interrupted: this is what there is so far\n")
	}
	for _, t := range r.Tables {
		b.WriteString("\n" + t.Title + "\n")
		t.write(&b)
		for _, n := range t.Notes {
			b.WriteString("  " + n + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) write(b *strings.Builder) {
	grid := [][]string{{""}}
	for _, c := range t.Columns {
		grid[0] = append(grid[0], c.Head)
	}
	for _, row := range t.Rows {
		line := []string{row.Name}
		for i, v := range row.Values {
			line = append(line, t.Columns[i].Unit.text(v))
		}
		grid = append(grid, line)
	}
	widths := make([]int, len(grid[0]))
	for _, line := range grid {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, line := range grid {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				b.WriteString("  " + cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
}

// text writes a number.
func (u Unit) text(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	switch u {
	case PerSecond:
		return grouped(v)
	case Nanos:
		return time.Duration(v).Round(max(1, time.Duration(math.Pow(10, math.Floor(math.Log10(max(v, 1)))-2)))).String()
	case Times:
		return fmt.Sprintf("%.3gx", v)
	case Percent:
		return fmt.Sprintf("%.3g %%", 100*v)
	case Bytes:
		if v >= 1<<20 {
			return fmt.Sprintf("%.4g MB", v/(1<<20))
		}
		return grouped(v) + " B"
	}
	if v == math.Trunc(v) {
		return grouped(v)
	}
	return fmt.Sprintf("%.3g", v)
}

// grouped writes 1234567 as 1,234,567.
func grouped(v float64) string {
	digits := fmt.Sprintf("%.0f", math.Abs(v))
	var b strings.Builder
	if v < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
