package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// BindFlags adds flags for the variables of the given names (without prefix), or
// for all. A flag that is given overrides the environment.
func (l *Loaded) BindFlags(fs *pflag.FlagSet, names ...string) {
	for _, v := range l.vars {
		if len(names) > 0 && !slices.Contains(names, v.Name[len(Prefix)+1:]) {
			continue
		}
		v.bind(fs)
	}
}

func (v *Var) bind(fs *pflag.FlagSet) {
	usage := fmt.Sprintf("%s [%s]", v.Desc, v.Name)
	switch p := v.field.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		fs.Var(textFlag{v}, v.Flag, usage)
	case *string:
		fs.StringVar(p, v.Flag, *p, usage)
	case *int:
		fs.IntVar(p, v.Flag, *p, usage)
	case *bool:
		fs.BoolVar(p, v.Flag, *p, usage)
	case *time.Duration:
		fs.DurationVar(p, v.Flag, *p, usage)
	}
	f := fs.Lookup(v.Flag)
	f.DefValue = v.Default // not what the environment says
	v.flags = append(v.flags, f)
}

// textFlag is a flag for a type that reads itself from text.
type textFlag struct{ v *Var }

// Set implements pflag.Value.
func (t textFlag) Set(s string) error {
	return t.v.field.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
}

// String implements pflag.Value.
func (t textFlag) String() string {
	if t.v == nil {
		return ""
	}
	return t.v.Value()
}

// Type implements pflag.Value.
func (t textFlag) Type() string { return "value" }

// textOf writes the value of a field.
func textOf(field reflect.Value) string {
	switch p := field.Interface().(type) {
	case encoding.TextMarshaler:
		b, err := p.MarshalText()
		if err != nil {
			return ""
		}
		return string(b)
	case time.Duration:
		return shortDuration(p)
	}
	return fmt.Sprint(field.Interface())
}

// shortDuration leaves out the zeros that time.Duration writes: 2m, not 2m0s.
func shortDuration(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d != 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
