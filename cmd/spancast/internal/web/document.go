package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
)

// document is the page with its style inside, so that a browser need not ask for
// that before it paints, and the hash by which the policy knows the style.
func document(page fs.FS) (html []byte, style string) {
	html, _ = fs.ReadFile(page, "index.html") // they are embedded
	css, _ := fs.ReadFile(page, "style.css")
	sum := sha256.Sum256(css)
	inside := append(append([]byte("<style>"), css...), "</style>"...)
	return bytes.Replace(html, []byte(`<link rel="stylesheet" href="/page/style.css">`), inside, 1), "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
