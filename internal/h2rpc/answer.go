package h2rpc

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// An answer is what the headers of a call say, those in front of the messages and
// those behind them.
type answer struct {
	http    string // status
	kind    string // content-type
	code    string // grpc-status
	message string // grpc-message
	details string // grpc-status-details-bin
}

func (a *answer) field(h hpack.HeaderField) {
	switch h.Name {
	case ":status":
		a.http = h.Value
	case "content-type":
		a.kind = h.Value
	case "grpc-status":
		a.code = h.Value
	case "grpc-message":
		a.message = h.Value
	case "grpc-status-details-bin":
		a.details = h.Value
	}
}

// begun tells whether messages may follow.
func (a *answer) begun() error {
	if strings.HasPrefix(a.http, "1") && len(a.http) == 3 {
		a.http = "" // the answer itself is still to come
		return nil
	}
	if a.http != "200" || !strings.HasPrefix(a.kind, "application/grpc") {
		return a.foreign()
	}
	return nil
}

// foreign is the error of an answer that is not gRPC's: of a proxy, mostly. The
// codes are those of gRPC's http-grpc-status-mapping.md.
func (a *answer) foreign() error {
	code := codes.Unknown
	switch a.http {
	case "400", "431":
		code = codes.Internal
	case "401":
		code = codes.Unauthenticated
	case "403":
		code = codes.PermissionDenied
	case "404":
		code = codes.Unimplemented
	case "429", "502", "503", "504":
		code = codes.Unavailable
	}
	return status.Errorf(code, "the answer is not gRPC's: HTTP status %q, content type %q", a.http, a.kind)
}

// status is how a call has ended; nil: well. One that is missing or is no number is
// codes.Unknown (http-grpc-status-mapping.md, statuscodes.md).
func (a *answer) status() error {
	if a.code == "" {
		if a.http == "200" && strings.HasPrefix(a.kind, "application/grpc") {
			return status.Error(codes.Unknown, "the server ended a call without a status")
		}
		return a.foreign()
	}
	code, err := strconv.ParseInt(a.code, 10, 32)
	if err != nil {
		return status.Errorf(codes.Unknown, "the server ended a call with status %q", a.code)
	}
	p := &spb.Status{Code: int32(code), Message: unescape(a.message)}
	if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(a.details, "=")); err == nil && len(raw) > 0 {
		if detailed := new(spb.Status); proto.Unmarshal(raw, detailed) == nil && detailed.GetCode() == p.GetCode() {
			p = detailed
		}
	}
	return status.ErrorProto(p)
}

// unescape undoes the percent-encoding of a message; one that is not encoded stays as
// it is.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// codeOfReset is gRPC's code for one of HTTP/2's (PROTOCOL-HTTP2.md, "Errors").
func codeOfReset(code http2.ErrCode) codes.Code {
	switch code {
	case http2.ErrCodeRefusedStream:
		return codes.Unavailable
	case http2.ErrCodeCancel:
		return codes.Canceled
	case http2.ErrCodeEnhanceYourCalm:
		return codes.ResourceExhausted
	case http2.ErrCodeInadequateSecurity:
		return codes.PermissionDenied
	}
	return codes.Internal
}
