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
		if err = allowed(o.opt.Access.Book().Rights(r.Identity), r); err != nil {
			o.opt.Log.Warn("request refused", "identity", r.Identity, "command", r.Command, "error", err)
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

// allowed tells what a request asks for that is not granted.
func allowed(rights access.Rights, r Request) error {
	for _, topic := range r.Topics {
		if !rights.Topic(topic) {
			return fmt.Errorf("topic %q is not granted", topic)
		}
	}
	tables := r.Tables
	if r.Command == message.CommandSnapshot && len(tables) == 0 {
		tables = []string{""} // all
	}
	for _, table := range tables {
		if !rights.Table(table) {
			return fmt.Errorf("table %q is not granted", table)
		}
	}
	return nil
}
