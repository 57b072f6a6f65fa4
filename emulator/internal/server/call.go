package server

import (
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/pg"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/sql"
	"github.com/spancast/spancast/emulator/internal/value"
)

// call is a change stream query.
type call struct {
	db     *database
	stream *changes.Stream
	name   string // of the function
	query  changes.Query
}

// argument is one argument of a read function before its type is known.
type argument struct {
	v    *structpb.Value // nil: NULL
	code sppb.TypeCode   // of a typed parameter
	bad  bool            // neither literal nor parameter
}

// streamCall finds out whether a request queries a change stream, and if so
// reads its arguments. found is true for every request that calls a read
// function, whatever is wrong with it.
func streamCall(db *database, r *sppb.ExecuteSqlRequest) (c *call, found bool, err error) {
	if !strings.Contains(strings.ToLower(r.GetSql()), "read_") {
		return nil, false, nil
	}
	if db.Schema().Dialect == schema.PostgreSQL {
		return pgCall(db, r)
	}
	return googleCall(db, r)
}

var argumentNames = []string{"start_timestamp", "end_timestamp", "partition_token", "heartbeat_milliseconds", "read_options"}

func googleCall(db *database, r *sppb.ExecuteSqlRequest) (*call, bool, error) {
	node, err := sql.Parse(r.GetSql())
	if err != nil {
		return nil, false, nil // said again when it is run as a query
	}
	var tvf *ast.TVFCallExpr
	ast.Inspect(node, func(n ast.Node) bool {
		if t, ok := n.(*ast.TVFCallExpr); ok && tvf == nil {
			tvf = t
		}
		return tvf == nil
	})
	if tvf == nil || len(tvf.Name.Idents) != 1 || len(tvf.Name.Idents[0].Name) < 6 || !strings.EqualFold(tvf.Name.Idents[0].Name[:5], "READ_") {
		return nil, false, nil
	}
	c := &call{db: db, name: "ChangeRecord", stream: db.Stream(tvf.Name.Idents[0].Name[5:])}
	if c.stream == nil {
		return nil, true, invalid("Table-valued function not found: %.150s", tvf.Name.Idents[0].Name)
	}
	if !alone(node, tvf) {
		return nil, true, grpcstatus.Errorf(codes.Unimplemented, "Change stream queries must not be combined with other SQL. The supported form is: SELECT ChangeRecord FROM %.500s", tvf.SQL())
	}
	args, err := googleArguments(tvf, r)
	if err != nil {
		return nil, true, err
	}
	return c, true, c.read(args, r, tvf.Name.Idents[0].Name)
}

// alone reports whether a query is SELECT ChangeRecord (or *) FROM the call.
func alone(node ast.Statement, tvf *ast.TVFCallExpr) bool {
	q, ok := node.(*ast.QueryStatement)
	if !ok {
		return false
	}
	expr := q.Query
	if full, ok := expr.(*ast.Query); ok {
		if full.With != nil || full.OrderBy != nil || full.Limit != nil || full.ForUpdate != nil || len(full.PipeOperators) > 0 {
			return false
		}
		expr = full.Query
	}
	s, ok := expr.(*ast.Select)
	if !ok || s.From == nil || s.From.Source != ast.TableExpr(tvf) || s.Where != nil || s.GroupBy != nil || s.Having != nil || s.As != nil ||
		s.AllOrDistinct == ast.AllOrDistinctDistinct || len(s.Results) != 1 || tvf.Sample != nil {
		return false
	}
	switch item := s.Results[0].(type) {
	case *ast.Star:
		return item.Except == nil && item.Replace == nil
	case *ast.ExprSelectItem:
		id, ok := item.Expr.(*ast.Ident)
		return ok && strings.EqualFold(id.Name, "ChangeRecord")
	}
	return false
}

func googleArguments(tvf *ast.TVFCallExpr, r *sppb.ExecuteSqlRequest) ([]argument, error) {
	args := make([]argument, len(argumentNames))
	if len(tvf.Args) > len(args) {
		return nil, invalid("Too many arguments for %s: it takes %d.", tvf.Name.SQL(), len(args))
	}
	for i, arg := range tvf.Args {
		plain, ok := arg.(*ast.ExprArg)
		if !ok {
			args[i].bad = true
			continue
		}
		args[i] = googleArgument(plain.Expr, r)
	}
	for _, named := range tvf.NamedArgs {
		found := false
		for i, name := range argumentNames {
			if strings.EqualFold(named.Name.Name, name) && i >= len(tvf.Args) {
				args[i], found = googleArgument(named.Value, r), true
			}
		}
		if !found {
			return nil, invalid("%s has no argument %.100s, or it is given twice.", tvf.Name.SQL(), named.Name.Name)
		}
	}
	return args, nil
}

func googleArgument(n ast.Expr, r *sppb.ExecuteSqlRequest) argument {
	switch n := n.(type) {
	case *ast.NullLiteral:
		return argument{}
	case *ast.StringLiteral:
		return argument{v: structpb.NewStringValue(n.Value)}
	case *ast.IntLiteral:
		return argument{v: structpb.NewStringValue(n.Value), code: sppb.TypeCode_INT64}
	case *ast.TimestampLiteral:
		return argument{v: structpb.NewStringValue(n.Value.Value), code: sppb.TypeCode_TIMESTAMP}
	case *ast.ArrayLiteral:
		return argument{v: structpb.NewListValue(&structpb.ListValue{}), code: sppb.TypeCode_ARRAY}
	case *ast.Param:
		return parameter(n.Name, r)
	}
	return argument{bad: true}
}

// parameter is an argument given as a query parameter.
func parameter(name string, r *sppb.ExecuteSqlRequest) argument {
	a := argument{}
	for key, v := range r.GetParams().GetFields() {
		if _, null := v.GetKind().(*structpb.Value_NullValue); strings.EqualFold(key, name) && !null {
			a.v = v
		}
	}
	for key, t := range r.GetParamTypes() {
		if strings.EqualFold(key, name) {
			a.code = t.GetCode()
		}
	}
	return a
}

func pgCall(db *database, r *sppb.ExecuteSqlRequest) (*call, bool, error) {
	found, err := pg.FindCall(r.GetSql())
	if err != nil || found == nil {
		return nil, false, nil
	}
	name, mutable := strings.CutPrefix(found.Function, "read_proto_bytes_")
	if !mutable {
		name = strings.TrimPrefix(name, "read_json_")
	}
	c := &call{db: db, name: found.Function, stream: db.Stream(name)}
	if c.stream == nil || !found.Qualified || c.stream.Definition().Mutable() != mutable || len(found.Args) < 4 || len(found.Args) > 5 {
		return nil, true, grpcstatus.Errorf(codes.NotFound, "No function matches the given name and argument types: %.200s", found.Text)
	}
	if !found.Alone {
		return nil, true, grpcstatus.Errorf(codes.Unimplemented, "Change stream queries must not be combined with other SQL. The supported form is: SELECT * FROM %.500s", found.Text)
	}
	args := make([]argument, len(argumentNames))
	for i, a := range found.Args {
		switch {
		case a.Bad && i == len(argumentNames)-1: // an array
			args[i].v = structpb.NewListValue(&structpb.ListValue{})
		case a.Bad:
			args[i].bad = true
		case a.Param != "":
			args[i] = parameter(a.Param, r)
		case !a.Null:
			args[i].v = structpb.NewStringValue(a.Text)
		}
	}
	return c, true, c.read(args, r, found.Function)
}

// read checks the arguments, the transaction and the request, and fills in the
// query.
func (c *call) read(args []argument, r *sppb.ExecuteSqlRequest, function string) error {
	for i, a := range args {
		if a.bad {
			return invalid("Argument %d of the change stream function %.150s must be a literal or a query parameter.", i, function)
		}
	}
	if args[4].v != nil {
		return grpcstatus.Error(codes.Unimplemented, "read_options must be null.")
	}
	if err := c.checkRequest(r); err != nil {
		return err
	}
	start, err := timeArgument(args[0], argumentNames[0])
	if err != nil {
		return err
	}
	if start == nil {
		return invalid("start_timestamp must not be null.")
	}
	c.query.Start = *start
	if c.query.End, err = timeArgument(args[1], argumentNames[1]); err != nil {
		return err
	}
	if args[2].v != nil {
		text, ok := args[2].v.GetKind().(*structpb.Value_StringValue)
		if !ok || args[2].code != 0 && args[2].code != sppb.TypeCode_STRING {
			return invalid("partition_token must be a STRING.")
		}
		c.query.Token = &text.StringValue
	}
	if args[3].v == nil {
		return invalid("heartbeat_milliseconds must not be null.")
	}
	ms, err := value.FromProto(value.Int64, args[3].v)
	if err != nil || args[3].code != 0 && args[3].code != sppb.TypeCode_INT64 {
		return invalid("heartbeat_milliseconds must be an INT64.")
	}
	c.query.Heartbeat = time.Duration(min(max(ms.(int64), 0), 1e9)) * time.Millisecond
	c.query.Resume = string(r.GetResumeToken())
	return nil
}

// checkRequest refuses what may not go with a change stream query.
func (c *call) checkRequest(r *sppb.ExecuteSqlRequest) error {
	single := false
	switch sel := r.GetTransaction().GetSelector().(type) {
	case nil:
		single = true
	case *sppb.TransactionSelector_SingleUse:
		switch sel.SingleUse.GetReadOnly().GetTimestampBound().(type) {
		case nil, *sppb.TransactionOptions_ReadOnly_Strong:
			single = sel.SingleUse.GetReadOnly() != nil
		}
	}
	if !single {
		return invalid("Change stream queries must be strong reads executed via single use transactions using the ExecuteStreamingSql API.")
	}
	if r.GetQueryMode() == sppb.ExecuteSqlRequest_PLAN {
		return grpcstatus.Error(codes.Unimplemented, "Query plans are not supported for change stream queries.")
	}
	return nil
}

func timeArgument(a argument, name string) (*time.Time, error) {
	if a.v == nil {
		return nil, nil
	}
	text, ok := a.v.GetKind().(*structpb.Value_StringValue)
	if !ok || a.code != 0 && a.code != sppb.TypeCode_TIMESTAMP {
		return nil, invalid("%s must be a TIMESTAMP.", name)
	}
	v, err := value.ParseTimestamp(text.StringValue, time.UTC)
	if err != nil {
		return nil, invalid("%s: %v", name, err)
	}
	t := v.(time.Time)
	return &t, nil
}
