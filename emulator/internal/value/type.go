// Package value holds Spanner's types and values: how they compare, how they
// are encoded as keys, on the wire and in change records, and how they are cast.
//
// A value is an any of one of these Go types, nil standing for NULL of every
// type: bool, int64, float64, float32, string, Bytes, time.Time (UTC), Date,
// *big.Rat (NUMERIC), JSON, UUID, []any (ARRAY), Struct, and CommitTime, which
// stands for a commit timestamp that is not known yet. Values are never changed
// once made, so they are shared freely.
package value

import (
	"strings"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
)

// Type is a Spanner type.
type Type struct {
	Code       sppb.TypeCode
	Annotation sppb.TypeAnnotationCode
	Elem       *Type   // of ARRAY
	Fields     []Field // of STRUCT
}

// Field is one field of a STRUCT; the name may be empty.
type Field struct {
	Name string
	Type *Type
}

// The scalar types. They are shared and must not be changed.
var (
	Bool      = &Type{Code: sppb.TypeCode_BOOL}
	Int64     = &Type{Code: sppb.TypeCode_INT64}
	Float64   = &Type{Code: sppb.TypeCode_FLOAT64}
	Float32   = &Type{Code: sppb.TypeCode_FLOAT32}
	String    = &Type{Code: sppb.TypeCode_STRING}
	BytesType = &Type{Code: sppb.TypeCode_BYTES}
	Timestamp = &Type{Code: sppb.TypeCode_TIMESTAMP}
	DateType  = &Type{Code: sppb.TypeCode_DATE}
	Numeric   = &Type{Code: sppb.TypeCode_NUMERIC}
	JSONType  = &Type{Code: sppb.TypeCode_JSON}
	UUIDType  = &Type{Code: sppb.TypeCode_UUID}
	PGNumeric = &Type{Code: sppb.TypeCode_NUMERIC, Annotation: sppb.TypeAnnotationCode_PG_NUMERIC}
	PGJSONB   = &Type{Code: sppb.TypeCode_JSON, Annotation: sppb.TypeAnnotationCode_PG_JSONB}
)

// ArrayOf is the type of arrays of elem.
func ArrayOf(elem *Type) *Type { return &Type{Code: sppb.TypeCode_ARRAY, Elem: elem} }

// Proto is the type as the API spells it.
func (t *Type) Proto() *sppb.Type {
	out := &sppb.Type{Code: t.Code, TypeAnnotation: t.Annotation}
	if t.Elem != nil {
		out.ArrayElementType = t.Elem.Proto()
	}
	if t.Code == sppb.TypeCode_STRUCT {
		out.StructType = &sppb.StructType{}
		for _, f := range t.Fields {
			out.StructType.Fields = append(out.StructType.Fields, &sppb.StructType_Field{Name: f.Name, Type: f.Type.Proto()})
		}
	}
	return out
}

// FromTypeProto reads a type of a request; it is nil for types that are not
// supported or not complete.
func FromTypeProto(p *sppb.Type) *Type {
	switch p.GetCode() {
	case sppb.TypeCode_ARRAY:
		elem := FromTypeProto(p.ArrayElementType)
		if elem == nil {
			return nil
		}
		return ArrayOf(elem)
	case sppb.TypeCode_STRUCT:
		t := &Type{Code: sppb.TypeCode_STRUCT}
		for _, f := range p.GetStructType().GetFields() {
			ft := FromTypeProto(f.GetType())
			if ft == nil {
				return nil
			}
			t.Fields = append(t.Fields, Field{f.GetName(), ft})
		}
		return t
	case sppb.TypeCode_TYPE_CODE_UNSPECIFIED, sppb.TypeCode_PROTO, sppb.TypeCode_ENUM, sppb.TypeCode_INTERVAL:
		return nil
	}
	return &Type{Code: p.GetCode(), Annotation: p.GetTypeAnnotation()}
}

// String is the type in GoogleSQL.
func (t *Type) String() string {
	if t == nil {
		return "NULL"
	}
	switch t.Code {
	case sppb.TypeCode_ARRAY:
		return "ARRAY<" + t.Elem.String() + ">"
	case sppb.TypeCode_STRUCT:
		var fields []string
		for _, f := range t.Fields {
			fields = append(fields, strings.TrimSpace(f.Name+" "+f.Type.String()))
		}
		return "STRUCT<" + strings.Join(fields, ", ") + ">"
	}
	return t.Code.String()
}

// Same reports whether two types are alike, field names aside.
func (t *Type) Same(o *Type) bool {
	if t == nil || o == nil || t == o {
		return t == o
	}
	if t.Code != o.Code || len(t.Fields) != len(o.Fields) {
		return false
	}
	if t.Elem != nil && !t.Elem.Same(o.Elem) {
		return false
	}
	for i := range t.Fields {
		if !t.Fields[i].Type.Same(o.Fields[i].Type) {
			return false
		}
	}
	return true
}

// IsNumber reports whether arithmetic is defined on the type.
func (t *Type) IsNumber() bool {
	switch t.Code {
	case sppb.TypeCode_INT64, sppb.TypeCode_FLOAT64, sppb.TypeCode_FLOAT32, sppb.TypeCode_NUMERIC:
		return true
	}
	return false
}

// AppendJSON writes the type as column_types of change records have it.
func (t *Type) AppendJSON(dst []byte) []byte {
	if t.Elem != nil {
		dst = append(dst, `{"array_element_type":`...)
		dst = t.Elem.AppendJSON(dst)
		return append(dst, `,"code":"ARRAY"}`...)
	}
	dst = append(append(append(dst, `{"code":"`...), t.Code.String()...), '"')
	if t.Annotation != 0 {
		dst = append(append(append(dst, `,"type_annotation":"`...), t.Annotation.String()...), '"')
	}
	return append(dst, '}')
}
