package changestream

// Intern returns the schema that stands for a table and a column list, for
// those who do not read it from the stream. Types are JSON as Spanner writes
// them; the list is kept.
func (s *Schemas) Intern(table string, columns []Column) (*Schema, error) {
	return s.intern(table, columns)
}
