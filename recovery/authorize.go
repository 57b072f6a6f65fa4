package recovery

import (
	"fmt"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
)

// authorize refuses what the client may not have.
func (o *owner) authorize(r Request) error {
	var err error
	if o.opt.Access != nil {
		if kind, name, ok := allowed(o.opt.Access.Book().Rights(r.Identity), r); !ok {
			err = fmt.Errorf("%s %q is not granted", kind, name)
			o.opt.Log.Warn("request refused", "identity", r.Identity, "command", r.Command, kind, short(o.opt.Router().Shown(name)))
		}
	}
	if err == nil && o.opt.Authorize != nil {
		err = o.opt.Authorize(r)
	}
	if err != nil {
		return &requestError{message.Denied, err.Error()}
	}
	return nil
}

// allowed tells whether all that a request asks for is granted, and otherwise
// which topic or table is not.
func allowed(rights access.Rights, r Request) (kind, name string, ok bool) {
	for _, topic := range r.Topics {
		if !rights.Topic(topic) {
			return "topic", topic, false
		}
	}
	tables := r.Tables
	if r.Command == message.CommandSnapshot && len(tables) == 0 {
		tables = []string{""} // all
	}
	for _, table := range tables {
		if !rights.Table(table) {
			return "table", table, false
		}
	}
	return "", "", true
}
