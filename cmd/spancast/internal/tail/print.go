package tail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spancast/spancast/internal/jsonscan"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
)

// A printer prints changes.
type printer interface {
	change(c *subscriber.Change) error
}

func newPrinter(o Options) printer {
	if o.Format == JSON {
		return &jsonPrinter{json.NewEncoder(o.Out)}
	}
	return &textPrinter{out: o.Out, colour: o.Colour}
}

// jsonPrinter prints a JSON object a line.
type jsonPrinter struct{ e *json.Encoder }

func (p *jsonPrinter) change(c *subscriber.Change) error {
	body := json.RawMessage(c.Body)
	if !json.Valid(body) {
		body, _ = json.Marshal(string(c.Body))
	}
	p.e.SetEscapeHTML(false)
	return p.e.Encode(struct {
		Topic      string          `json:"topic"`
		Version    string          `json:"version"`
		Epoch      string          `json:"epoch"`
		Counters   string          `json:"counters"`
		Attributes json.RawMessage `json:"attributes"`
		Body       json.RawMessage `json:"body"`
	}{c.Topic, string(c.Header.Version), string(c.Header.Epoch), string(c.Header.Counters), json.RawMessage(c.Header.Attributes), body})
}

// textPrinter prints a change on a line for people:
//
//	09:54:00.123456  UPDATE  sales.Orders  OrderId=42  Status: "new" → "paid"
type textPrinter struct {
	out    io.Writer
	colour bool
}

const (
	plain  = "\x1b[0m"
	dim    = "\x1b[2m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	bold   = "\x1b[1m"
)

func (p *textPrinter) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return code + s + plain
}

func (p *textPrinter) change(c *subscriber.Change) error {
	a, err := c.Attributes()
	if err != nil {
		return err
	}
	clock := string(c.Header.Version[11:26])
	op := map[string]string{"INSERT": green, "UPDATE": yellow, "DELETE": red}[a.Op]
	_, err = fmt.Fprintf(p.out, "%s  %s  %s  %s\n", p.paint(dim, clock), p.paint(op, fmt.Sprintf("%-6s", a.Op)), p.paint(bold, a.Table), p.row(c, a))
	return err
}

// row prints what a body says of a row; one that is not native, as it is.
func (p *textPrinter) row(c *subscriber.Change, a message.Attributes) string {
	var body struct {
		Keys json.RawMessage `json:"keys"`
		New  json.RawMessage `json:"new_values"`
		Old  json.RawMessage `json:"old_values"`
	}
	if json.Unmarshal(c.Body, &body) != nil || body.Keys == nil {
		return shorten(string(c.Body), 200)
	}
	var parts []string
	walk(body.Keys, func(name, value string) { parts = append(parts, p.paint(bold, name+"="+value)) })
	old := map[string]string{}
	walk(body.Old, func(name, value string) { old[name] = value })
	if a.Op == "DELETE" {
		walk(body.Old, func(name, value string) { parts = append(parts, p.paint(dim, name+"="+value)) })
		return strings.Join(parts, "  ")
	}
	walk(body.New, func(name, value string) {
		if before, known := old[name]; known && a.Op == "UPDATE" {
			parts = append(parts, fmt.Sprintf("%s: %s → %s", name, before, value))
			return
		}
		parts = append(parts, name+"="+value)
	})
	return strings.Join(parts, "  ")
}

// walk calls f for the members of an object, in its order.
func walk(object []byte, f func(name, value string)) {
	m, err := jsonscan.Object(object)
	for err == nil && m.Next() {
		f(string(m.Key), shorten(unquote(m.Value), 60))
	}
}

// unquote leaves out quotes that tell nothing: those of numbers, that Spanner
// sends as strings, and of single words.
func unquote(value []byte) string {
	text, err := jsonscan.Text(value)
	if err != nil || len(text) == 0 || bytes.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:+", r)
	}) {
		return string(bytes.TrimSpace(value))
	}
	return string(text)
}

func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}
