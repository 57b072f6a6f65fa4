package checkpoint

import "strings"

// recoverMark begins those elements of the column Endpoints that are endpoints
// of recovery, for example "recover=tcp://10.0.0.7:5557".
const recoverMark = "recover="

func joinEndpoints(publish, recovery []string) []string {
	out := append([]string{}, publish...)
	for _, e := range recovery {
		out = append(out, recoverMark+e)
	}
	return out
}

func splitEndpoints(all []string) (publish, recovery []string) {
	publish = []string{}
	for _, e := range all {
		if r, ok := strings.CutPrefix(e, recoverMark); ok {
			recovery = append(recovery, r)
		} else {
			publish = append(publish, e)
		}
	}
	return publish, recovery
}
