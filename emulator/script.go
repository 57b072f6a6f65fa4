package emulator

import "strings"

// statements splits a file of DDL at its semicolons, but not at those in
// comments and quoted texts, and leaves out what is only space and comments.
func statements(text string) []string {
	var out []string
	from, some := 0, false
	end := func(i int) {
		if some {
			out = append(out, strings.TrimSpace(text[from:i]))
		}
		from, some = i+1, false
	}
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch c := text[i]; {
		case c == ';':
			end(i)
		case strings.HasPrefix(rest, "--"), c == '#':
			i += skip(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += skip(rest, "*/")
		case c == '\'' || c == '"' || c == '`':
			i, some = i+quoted(rest), true
		case !strings.ContainsRune(" \t\r\n", rune(c)):
			some = true
		}
	}
	end(len(text))
	return out
}

// skip is the index of the last byte of what ends a comment.
func skip(text, end string) int {
	if n := strings.Index(text[1:], end); n >= 0 {
		return n + len(end)
	}
	return len(text) - 1
}

// quoted is the index of the quote that ends a quoted text.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i
		}
	}
	return len(text) - 1
}
