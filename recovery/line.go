package recovery

import "slices"

// A line is where requests wait for their turn: first come, first served within
// a client, and the clients one after the other.
type line struct {
	clients []string // that have something waiting; the first is next
	waiting map[string][]*answer
	len     int
}

func newLine() *line { return &line{waiting: make(map[string][]*answer)} }

// add puts an answer at the end of its client's.
func (l *line) add(a *answer) {
	if len(l.waiting[a.client]) == 0 {
		l.clients = append(l.clients, a.client)
	}
	l.waiting[a.client] = append(l.waiting[a.client], a)
	l.len++
}

// next takes the answer whose turn it is of those that may begin, nil if there
// is none. Its client goes to the end of the line.
func (l *line) next(may func(*answer) bool) *answer {
	for _, client := range l.clients {
		for _, a := range l.waiting[client] {
			if !may(a) {
				continue
			}
			l.remove(a)
			if i := slices.Index(l.clients, client); i >= 0 {
				l.clients = append(slices.Delete(l.clients, i, i+1), client)
			}
			return a
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
	l.clients = slices.DeleteFunc(l.clients, func(c string) bool { return c == a.client })
}

// each calls f for every answer with the number of those that are before it, as
// the line stands.
func (l *line) each(f func(a *answer, before int)) {
	type place struct {
		a      *answer
		before int
	}
	var places []place // first, since f may change the line
	for round := 0; len(places) < l.len; round++ {
		for _, client := range l.clients {
			if list := l.waiting[client]; round < len(list) {
				places = append(places, place{list[round], len(places)})
			}
		}
	}
	for _, p := range places {
		f(p.a, p.before)
	}
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
