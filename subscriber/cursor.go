package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Cursor keeps the position of one subscriber over restarts.
type Cursor interface {
	// Load returns the position that was saved last; the zero one if there is
	// none.
	Load(ctx context.Context) (Position, error)
	// Save keeps a position. Everything that it says was handled.
	Save(ctx context.Context, p Position) error
}

// A FileCursor is a Cursor in a file, of which this is the path. It is replaced
// as a whole: after a crash the file has the position before or the one after.
type FileCursor string

// Load implements Cursor. There is no position if there is no file.
func (f FileCursor) Load(context.Context) (p Position, err error) {
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = p.UnmarshalText(text)
	}
	if err != nil {
		return Position{}, fmt.Errorf("load the cursor %s: %w", f, err)
	}
	return p, nil
}

// Save implements Cursor.
func (f FileCursor) Save(_ context.Context, p Position) error {
	if err := f.save(p); err != nil {
		return fmt.Errorf("save the cursor %s: %w", f, err)
	}
	return nil
}

func (f FileCursor) save(p Position) error {
	text, err := p.MarshalText()
	if err != nil {
		return err
	}
	dir, name := filepath.Split(string(f))
	tmp, err := os.CreateTemp(filepath.Clean(dir+"."), name+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when all went well
	_, err = tmp.Write(append(text, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), string(f))
}
