package version

// libzmq links libsodium, which can be asked; this program itself does not.

/*
#pragma weak sodium_version_string
extern const char *sodium_version_string(void);

static const char *version(void) {
	return sodium_version_string ? sodium_version_string() : "";
}
*/
import "C"

// sodium is the version of libsodium, empty if it is not there.
func sodium() string { return C.GoString(C.version()) }
