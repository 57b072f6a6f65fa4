package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

// Print lists the variables: as text or json with values and where they come
// from, as env to be edited, as md for the documentation (defaults only).
func (l *Loaded) Print(format string) (string, error) {
	switch format {
	case "text":
		return l.printText(), nil
	case "env":
		return l.printEnv(), nil
	case "json":
		return l.printJSON()
	case "md":
		return l.printMarkdown(), nil
	}
	return "", fmt.Errorf("--output %s is not one of text, env, json, md", format)
}

func (l *Loaded) printText() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VARIABLE\tVALUE\tFROM\tMEANING")
	for _, v := range l.vars {
		value := v.Value()
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Name, value, v.Source(), v.Desc)
	}
	w.Flush()
	return b.String()
}

func (l *Loaded) printEnv() string {
	var b strings.Builder
	for _, v := range l.vars {
		fmt.Fprintf(&b, "# %s\n", v.Desc)
		comment := ""
		if v.Source() == FromDefault {
			comment = "#"
		}
		fmt.Fprintf(&b, "%s%s=%s\n", comment, v.Name, v.Value())
	}
	return b.String()
}

func (l *Loaded) printJSON() (string, error) {
	type line struct {
		Name    string `json:"name"`
		Flag    string `json:"flag"`
		Default string `json:"default"`
		Value   string `json:"value"`
		Source  Source `json:"source"`
		Meaning string `json:"meaning"`
	}
	lines := []line{}
	for _, v := range l.vars {
		lines = append(lines, line{v.Name, "--" + v.Flag, v.Default, v.Value(), v.Source(), v.Desc})
	}
	b, err := json.MarshalIndent(lines, "", "  ")
	return string(b) + "\n", err
}

func (l *Loaded) printMarkdown() string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, v := range l.vars {
		value := "empty"
		if v.Default != "" {
			value = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", v.Name, v.Flag, value, strings.ReplaceAll(v.Desc, "|", "\\|"))
	}
	return b.String()
}
