package recovery

import "slices"

// A line is where requests wait for their turn: first come, first served within
// a client, the clients of one party one after the other, and the parties likewise,
// however many clients each has.
type line struct {
	turns   []turn // of parties that have something waiting; the first is next
	waiting map[string][]*answer
	len     int
}

// A turn is a party's, with its clients that have something waiting; the first is
// next.
type turn struct {
	party   string
	clients []string
}

func newLine() *line { return &line{waiting: make(map[string][]*answer)} }

// add puts an answer at the end of its client's.
func (l *line) add(a *answer) {
	i := slices.IndexFunc(l.turns, func(t turn) bool { return t.party == a.party })
	if i < 0 {
		i = len(l.turns)
		l.turns = append(l.turns, turn{party: a.party})
	}
	if t := &l.turns[i]; !slices.Contains(t.clients, a.client) {
		t.clients = append(t.clients, a.client)
	}
	l.waiting[a.client] = append(l.waiting[a.client], a)
	l.len++
}

// next takes the answer whose turn it is of those that may begin, nil if there
// is none. Its client goes to the end of its party's, and that to the end of the
// line.
func (l *line) next(may func(*answer) bool) *answer {
	for i, t := range l.turns {
		for k, client := range t.clients {
			for _, a := range l.waiting[client] {
				if !may(a) {
					continue
				}
				t.clients = append(slices.Delete(t.clients, k, k+1), client)
				l.turns = append(slices.Delete(l.turns, i, i+1), t)
				l.remove(a)
				return a
			}
		}
	}
	return nil
}

// remove takes an answer out.
func (l *line) remove(a *answer) {
	list := l.waiting[a.client]
	i := slices.Index(list, a)
	if i < 0 {
		return
	}
	l.len--
	if list = slices.Delete(list, i, i+1); len(list) > 0 {
		l.waiting[a.client] = list
		return
	}
	delete(l.waiting, a.client)
	for i := range l.turns {
		t := &l.turns[i]
		t.clients = slices.DeleteFunc(t.clients, func(c string) bool { return c == a.client })
	}
	l.turns = slices.DeleteFunc(l.turns, func(t turn) bool { return len(t.clients) == 0 })
}

// each calls f for every answer with the number of those that are before it, as
// the line stands.
func (l *line) each(f func(a *answer, before int)) {
	var parties [][]*answer // first, since f may change the line
	for _, t := range l.turns {
		var clients [][]*answer
		for _, client := range t.clients {
			clients = append(clients, l.waiting[client])
		}
		parties = append(parties, byTurns(clients))
	}
	for before, a := range byTurns(parties) {
		f(a, before)
	}
}

// byTurns takes one of each list, none of which is empty, again and again.
func byTurns(lists [][]*answer) (out []*answer) {
	for len(lists) > 0 {
		rest := lists[:0]
		for _, list := range lists {
			out = append(out, list[0])
			if len(list) > 1 {
				rest = append(rest, list[1:])
			}
		}
		lists = rest
	}
	return out
}

// of is how many requests of a party wait.
func (l *line) of(party string) (n int) {
	for _, t := range l.turns {
		if t.party != party {
			continue
		}
		for _, client := range t.clients {
			n += len(l.waiting[client])
		}
	}
	return n
}

// find returns a waiting answer.
func (l *line) find(client, id string) *answer {
	for _, a := range l.waiting[client] {
		if a.id == id {
			return a
		}
	}
	return nil
}
