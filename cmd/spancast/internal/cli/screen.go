package cli

import (
	"bytes"
	"os"

	"golang.org/x/term"
)

// Control sequences that every terminal of the last decades knows.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l" // and hide the cursor
	firstScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// A screen redraws pages in place.
type screen struct {
	in, out *os.File
	before  *term.State
}

// openScreen takes the terminal over. When q or Ctrl-C is pressed, quit is
// called. Close must follow.
func openScreen(in, out *os.File, quit func()) (*screen, error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	s := &screen{in: in, out: out, before: before}
	out.WriteString(otherScreen)
	go s.keys(quit) // ends with the process: a read of a terminal cannot be ended otherwise
	return s, nil
}

func (s *screen) close() {
	s.out.WriteString(firstScreen)
	term.Restore(int(s.in.Fd()), s.before)
}

func (s *screen) keys(quit func()) {
	const ctrlC, ctrlD = 3, 4
	key := make([]byte, 1)
	for {
		if n, err := s.in.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 'Q' || key[0] == ctrlC || key[0] == ctrlD) {
			quit()
			return
		}
	}
}

// show draws a page over the one before: as many lines, and as much of each, as
// there is room for.
func (s *screen) show(page []byte) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	s.out.Write(fit(page, width, height))
}

func fit(page []byte, width, height int) []byte {
	var b bytes.Buffer
	b.WriteString(toTop)
	lines := bytes.Split(bytes.TrimRight(page, "\n"), []byte{'\n'})
	for i, line := range lines[:min(len(lines), height)] {
		if i > 0 {
			b.WriteString("\r\n") // the terminal is raw
		}
		if runes := bytes.Runes(line); len(runes) > width {
			line = []byte(string(runes[:width]))
		}
		b.Write(line)
		b.WriteString(clearLine)
	}
	b.WriteString(clearBelow)
	return b.Bytes()
}
