package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// Source says where a value comes from.
type Source string

// The sources of values, the later ones stronger.
const (
	FromDefault Source = "default"
	FromEnv     Source = "environment"
	FromFlag    Source = "flag"
)

// A Var is one variable of the configuration.
type Var struct {
	Name    string // with the prefix
	Flag    string // without the hyphens
	Default string
	Desc    string

	field reflect.Value
	env   bool  // whether the environment has it
	err   error // why what the environment has cannot be used
	flags []*pflag.Flag
}

// Loaded is the configuration as it was found.
type Loaded struct {
	Config
	vars     []*Var
	unknown  []error
	emulator string // host:port from SPANNER_EMULATOR_HOST
}

// Load reads the environment. It takes SPANNER_EMULATOR_HOST out of it: Spanner's
// client would let it override an endpoint that was set. Faults are not lost: Validate returns them, unless
// a flag has overridden what was wrong.
func Load() *Loaded {
	l := new(Loaded)
	spec := reflect.ValueOf(&l.Config).Elem()
	for i := range spec.NumField() {
		l.vars = append(l.vars, loadVar(spec.Type().Field(i), spec.Field(i)))
	}
	l.unknown = unknownVariables(l.vars, os.Environ())
	_, host, found := strings.Cut(os.Getenv(emulatorHost), "://")
	if !found {
		host = os.Getenv(emulatorHost)
	}
	l.emulator = host
	os.Unsetenv(emulatorHost)
	return l
}

// Defaults returns the configuration that an empty environment gives, and
// empties it: a demo must not touch what a real configuration names.
func Defaults() *Loaded {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, Prefix+"_") || name == emulatorHost {
			os.Unsetenv(name)
		}
	}
	return Load()
}

const emulatorHost = "SPANNER_EMULATOR_HOST"

// loadVar reads one variable by itself, so that the fault of one does not hide
// those of others. What is set but empty counts as not set: that is how
// containers leave things out.
func loadVar(f reflect.StructField, field reflect.Value) *Var {
	name := variableName(f.Name)
	v := &Var{
		Name: name, Flag: strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, Prefix+"_"), "_", "-")),
		Default: f.Tag.Get("default"), Desc: f.Tag.Get("desc"), field: field,
	}
	if os.Getenv(name) == "" {
		os.Unsetenv(name)
	}
	_, v.env = os.LookupEnv(name)
	one := reflect.New(reflect.StructOf([]reflect.StructField{f}))
	err := envconfig.Process(Prefix, one.Interface())
	var parse *envconfig.ParseError
	if errors.As(err, &parse) {
		err = plainer(field, os.Getenv(name), parse.Err)
	}
	if err == nil {
		field.Set(one.Elem().Field(0))
	}
	v.err = err
	return v
}

// plainer says of types that are Go's what the others say of themselves.
func plainer(field reflect.Value, value string, err error) error {
	switch field.Interface().(type) {
	case time.Duration:
		return fmt.Errorf("%q is not a duration; one looks like 500ms, 2m or 1h30m", value)
	case bool:
		return fmt.Errorf("%q is not true or false", value)
	case int:
		return fmt.Errorf("%q is not a whole number", value)
	}
	return err
}

var (
	words    = regexp.MustCompile(`[A-Z]+[^A-Z]+|[A-Z]+|[^A-Z]+`)
	acronyms = regexp.MustCompile(`^([A-Z]+)([A-Z][^A-Z]+)$`)
)

// variableName is the name that envconfig gives a field: SendHWM is SEND_HWM.
func variableName(field string) string {
	var parts []string
	for _, w := range words.FindAllString(field, -1) {
		if m := acronyms.FindStringSubmatch(w); m != nil {
			parts = append(parts, m[1:]...)
		} else {
			parts = append(parts, w)
		}
	}
	return Prefix + "_" + strings.ToUpper(strings.Join(parts, "_"))
}

// serviceLink matches what Kubernetes sets for a Service named like the prefix.
var serviceLink = regexp.MustCompile(`^` + Prefix + `_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_.*)$`)

// unknownVariables finds variables with the prefix that mean nothing: a typing
// error in one of them would otherwise be a default that nobody meant.
func unknownVariables(vars []*Var, environ []string) []error {
	var faults []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix+"_") || value == "" || serviceLink.MatchString(name) {
			continue
		}
		if slices.ContainsFunc(vars, func(v *Var) bool { return v.Name == name }) {
			continue
		}
		faults = append(faults, fmt.Errorf("%s is not a variable of this version%s", name, suggestion(vars, name)))
	}
	return faults
}

func suggestion(vars []*Var, name string) string {
	best, distance := "", min(4, 1+len(name[len(Prefix)+1:])/2) // of short names everything is a neighbour
	for _, v := range vars {
		if d := editDistance(v.Name, name); d < distance {
			best, distance = v.Name, d
		}
	}
	if best == "" {
		return "; spancast config lists them"
	}
	return "; is " + best + " meant?"
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Vars lists the variables in the order of the struct.
func (l *Loaded) Vars() []*Var { return l.vars }

// Value is the effective value as text.
func (v *Var) Value() string {
	return textOf(v.field)
}

// Source is where the effective value comes from.
func (v *Var) Source() Source {
	switch {
	case slices.ContainsFunc(v.flags, func(f *pflag.Flag) bool { return f.Changed }):
		return FromFlag
	case v.env:
		return FromEnv
	}
	return FromDefault
}
