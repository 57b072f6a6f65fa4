package pg

func (d *definition) createIndex(unique string) (string, error) {
	exists := d.exists()
	index, err := d.name()
	if err != nil {
		return "", err
	}
	if !d.take("on") {
		return "", d.expected("ON")
	}
	table, err := d.name()
	if err != nil {
		return "", err
	}
	columns, err := d.names()
	if err != nil {
		return "", err
	}
	storing := ""
	if d.take("include") {
		if storing, err = d.names(); err != nil {
			return "", err
		}
		storing = " STORING " + storing
	}
	filtered := ""
	if d.take("where") { // only IS NOT NULL is allowed there
		filtered = "NULL_FILTERED "
		for d.at < len(d.in) {
			if _, err := d.name(); err != nil || !d.take("is", "not", "null") {
				return "", unsupported("CREATE INDEX with a WHERE other than IS NOT NULL")
			}
			if !d.take("and") {
				break
			}
		}
	}
	return "CREATE " + unique + filtered + "INDEX" + exists + " " + index + " ON " + table + columns + storing, nil
}

func (d *definition) alterTable() (string, error) {
	table, err := d.name()
	if err != nil {
		return "", err
	}
	out := "ALTER TABLE " + table
	switch {
	case d.take("add", "column"):
		exists := d.exists()
		column, _, err := d.column()
		return out + " ADD COLUMN" + exists + " " + column, err
	case d.peek(0).is("add") && (d.peek(1).is("constraint") || d.peek(1).is("foreign") || d.peek(1).is("check")):
		d.at++
		item, _, err := d.item()
		return out + " ADD " + item, err
	case d.take("drop", "column"):
		column, err := d.name()
		return out + " DROP COLUMN " + column, err
	case d.take("drop", "constraint"):
		constraint, err := d.name()
		return out + " DROP CONSTRAINT " + constraint, err
	case d.take("alter", "column"):
		column, err := d.name()
		if err != nil {
			return "", err
		}
		return d.alterColumn(out + " ALTER COLUMN " + column)
	}
	return "", d.expected("an alteration that is supported")
}

func (d *definition) alterColumn(out string) (string, error) {
	switch {
	case d.take("set", "default"):
		e, err := d.expression(func(token) bool { return false })
		return out + " SET DEFAULT (" + e + ")", err
	case d.take("drop", "default"):
		return out + " DROP DEFAULT", nil
	case d.take("type"), d.take("set", "data", "type"):
		typ, err := d.dataType()
		return out + " " + typ.column, err
	}
	return "", unsupported("This form of ALTER COLUMN")
}
