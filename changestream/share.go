package changestream

import (
	"cmp"
	"slices"
)

// A member is a replica as far as sharing the partitions is concerned.
type member struct {
	id       string
	capacity int // most partitions that it takes; 0: no limit
	owns     int // partitions that it reads
}

// A plan is what one replica should do for the partitions to be spread evenly.
type plan struct {
	take   []PartitionToken          // partitions without owner that are its to take
	give   map[PartitionToken]string // own partitions, and to whom they should go
	want   int                       // partitions that others should give to it
	beyond int                       // partitions that no replica has room for
}

// share decides who reads what. It is a function of what all replicas see in the
// store, so those that see the same agree without a word: what one takes no
// other takes, and what one gives the other expects.
//
// Members include the replica itself. Unowned are the partitions that may be
// taken now, own are those that self could give away, the first first.
//
// Nothing moves that need not: a replica gives only what it has above its share,
// and the shares that are larger by one go to those that have that many.
func share(self string, members []member, unowned, own []PartitionToken) plan {
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	total := len(unowned)
	for _, m := range members {
		total += m.owns
	}
	quota := shares(members, total)
	p := plan{give: make(map[PartitionToken]string)}
	demand := demanded(members, quota)
	next := func() (id string, ok bool) {
		if len(demand) == 0 {
			return "", false
		}
		id, demand = demand[0], demand[1:]
		return id, true
	}
	for _, token := range unowned {
		switch id, ok := next(); {
		case !ok:
			p.beyond++
		case id == self:
			p.take = append(p.take, token)
		}
	}
	for i, m := range members {
		for range m.owns - quota[i] {
			switch id, ok := next(); {
			case !ok:
			case id == self:
				p.want++
			case m.id == self && len(own) > 0:
				p.give[own[0]], own = id, own[1:]
			}
		}
	}
	return p
}

// assign decides where the partitions of a replica go that leaves. Those that
// nobody has room for are left out.
func assign(members []member, going []PartitionToken) map[PartitionToken]string {
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	slices.Sort(going)
	total := len(going)
	for _, m := range members {
		total += m.owns
	}
	out := make(map[PartitionToken]string, len(going))
	for i, id := range demanded(members, shares(members, total)) {
		if i < len(going) {
			out[going[i]] = id
		}
	}
	return out
}

// shares divides a number of partitions evenly among members, as far as they
// have room.
func shares(members []member, total int) []int {
	quota := make([]int, len(members))
	for total > 0 {
		var open []int // members that have room for one more
		for i, m := range members {
			if m.capacity <= 0 || quota[i] < m.capacity {
				open = append(open, i)
			}
		}
		if len(open) == 0 {
			break
		}
		if total < len(open) {
			// Not enough for all of them: first for those that have it already.
			slices.SortStableFunc(open, func(a, b int) int {
				return cmp.Compare(members[b].owns-quota[b], members[a].owns-quota[a])
			})
			open = open[:total]
		}
		for _, i := range open {
			quota[i]++
		}
		total -= len(open)
	}
	return quota
}

// demanded lists who should get partitions, by turns, once for each.
func demanded(members []member, quota []int) []string {
	var out []string
	for round := 0; ; round++ {
		before := len(out)
		for i, m := range members {
			if quota[i]-m.owns > round {
				out = append(out, m.id)
			}
		}
		if len(out) == before {
			return out
		}
	}
}
