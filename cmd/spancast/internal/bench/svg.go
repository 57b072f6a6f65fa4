package bench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Sizes of the picture, in pixels.
const (
	pictureWidth = 860
	labelWidth   = 250
	barHeight    = 14
	barGap       = 3
	rowGap       = 10
	tableGap     = 34
)

// The colours of a table's bars, in the order of its columns; they keep apart for
// those who see no red or green.
func colour(i int) string {
	return [...]string{"#0072b2", "#999999", "#d55e00", "#009e73"}[i%4]
}

// WriteSVG draws the report: a group of bars for every row.
func (r *Report) WriteSVG(w io.Writer) error {
	var b strings.Builder
	y := 24
	m := r.Machine
	text(&b, 10, y, 15, "bold", "Spancast "+r.Version)
	y += 20
	text(&b, 10, y, 11, "normal", fmt.Sprintf("%s, %d cores, %s, %s", m.Processor, m.Cores, m.Go, r.Began.UTC().Format("2006-01-02")))
	for _, t := range r.Tables {
		y = t.draw(&b, y+tableGap)
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif">`+
		"\n"+`<rect width="100%%" height="100%%" fill="white"/>`+"\n%s</svg>\n", pictureWidth, y+20, pictureWidth, y+20, b.String())
	return err
}

func text(b *strings.Builder, x, y, size int, weight, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="%d" font-weight="%s" fill="#222">%s</text>`+"\n", x, y, size, weight, html.EscapeString(s))
}

// draw draws a table from y down, and returns where it ends.
func (t *Table) draw(b *strings.Builder, y int) int {
	top, bars := t.scale()
	if top == 0 {
		return y - tableGap
	}
	text(b, 10, y, 13, "bold", t.Title)
	x := 10
	y += 16
	for n, i := range bars {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`+"\n", x, y-9, colour(n))
		text(b, x+14, y, 11, "normal", t.Columns[i].Head)
		x += 30 + 7*len(t.Columns[i].Head)
	}
	y += rowGap
	for _, row := range t.Rows {
		text(b, 10, y+barHeight-3, 11, "normal", row.Name)
		for n, i := range bars {
			v := row.Values[i]
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			width := int(v / top * (pictureWidth - labelWidth - 110))
			fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", labelWidth, y, max(1, width), barHeight, colour(n))
			text(b, labelWidth+max(1, width)+6, y+barHeight-3, 10, "normal", t.Columns[i].Unit.text(v))
			y += barHeight + barGap
		}
		y += rowGap
	}
	return y
}

// scale is the largest number of a table's bars, and which columns are bars.
func (t *Table) scale() (top float64, bars []int) {
	for i, c := range t.Columns {
		if !c.Bar {
			continue
		}
		bars = append(bars, i)
		for _, row := range t.Rows {
			if v := row.Values[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
				top = max(top, v)
			}
		}
	}
	return top, bars
}
