package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// Credentials are what it takes to connect out: our own key, and the public
// keys of those whom we connect to. With two of those, while one is replaced by
// the other, the second is for ports that are higher by Shift. Without any there
// is no CURVE.
type Credentials struct {
	Own     SecretKey
	Servers []PublicKey
	Shift   int
}

// Equal tells whether two are the same.
func (c *Credentials) Equal(o *Credentials) bool {
	return c.Own == o.Own && c.Shift == o.Shift && slices.Equal(c.Servers, o.Servers)
}

// A Connector connects one socket to servers, and follows when keys change: it
// makes the new connections first, and ends the old ones a little later, so that
// the other side has everything, some of it twice. It is for the goroutine that
// owns the socket.
type Connector struct {
	z           *zmq.Socket
	endpoints   []string
	credentials func() *Credentials

	with  *Credentials // that links are made with
	links []link
}

// A link is a connection that there is to be.
type link struct {
	endpoint    string
	own, server PublicKey
	spelled     string    // the endpoint, as libzmq was told
	until       time.Time // it is not wanted any more from then on; zero: it stays
}

// Overlap is how long a connection with old keys stays beside the new one.
const Overlap = 10 * time.Second

// Connect connects a socket that has nothing bound yet. Credentials is asked
// again whenever the connector is tended, and returns the same pointer as long
// as nothing has changed; nil: no CURVE.
func Connect(z *zmq.Socket, endpoints []string, credentials func() *Credentials) (*Connector, error) {
	if credentials == nil {
		none := new(Credentials)
		credentials = func() *Credentials { return none }
	}
	c := &Connector{z: z, endpoints: endpoints, credentials: credentials}
	return c, c.Tend(time.Now())
}

// Tend does what is to be done. It returns at once when there is nothing to do.
func (c *Connector) Tend(now time.Time) error {
	if with := c.credentials(); with != c.with {
		c.with = with
		if err := c.follow(now); err != nil {
			return err
		}
	}
	for i := 0; i < len(c.links); i++ {
		if l := c.links[i]; !l.until.IsZero() && !now.Before(l.until) {
			c.links = slices.Delete(c.links, i, i+1)
			i--
			if err := c.z.Disconnect(l.spelled); err != nil {
				return fmt.Errorf("disconnect from %s: %w", l.spelled, err)
			}
		}
	}
	return nil
}

// follow makes the connections that are missing, and gives those that are not
// wanted any more a time.
func (c *Connector) follow(now time.Time) error {
	wanted := c.plan()
	for i := range c.links {
		l := &c.links[i]
		at := slices.IndexFunc(wanted, func(w link) bool {
			return w.endpoint == l.endpoint && w.own == l.own && w.server == l.server
		})
		switch {
		case at >= 0:
			l.until = time.Time{}
			wanted = slices.Delete(wanted, at, at+1)
		case l.until.IsZero():
			l.until = now.Add(Overlap)
		}
	}
	for _, l := range wanted {
		if !c.with.Own.IsZero() {
			if err := SecureClient(c.z, c.with.Own, l.server); err != nil {
				return err
			}
		}
		for l.spelled = l.endpoint; slices.ContainsFunc(c.links, func(o link) bool { return o.spelled == l.spelled }); {
			l.spelled = respell(l.spelled)
		}
		if err := c.z.Connect(l.spelled); err != nil {
			return fmt.Errorf("connect to %s: %w", l.endpoint, ExplainBind(err))
		}
		c.links = append(c.links, l)
	}
	return nil
}

func (c *Connector) plan() (links []link) {
	servers := c.with.Servers
	if len(servers) == 0 {
		servers = []PublicKey{{}}
	}
	for i, server := range servers {
		for _, e := range c.endpoints {
			links = append(links, link{endpoint: Shift(e, i*c.with.Shift), own: c.with.Own.Public(), server: server})
		}
	}
	return links
}

// respell writes an endpoint differently. libzmq tells the connections of a
// socket apart by what they were called, and would end both.
func respell(endpoint string) string {
	if i := strings.LastIndexByte(endpoint, ':'); strings.HasPrefix(endpoint, "tcp://") {
		return endpoint[:i+1] + "0" + endpoint[i+1:]
	}
	return strings.Replace(endpoint, "://", ":///", 1)
}
