package spec

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// system checks what does not belong to one pair.
func (c *checker) system() {
	d := c.spec.Destination
	for name := range d.Headers {
		if secretHeader(name) {
			c.refuse("secret-in-spec", at("destination.headers", name), "a header of this name carries a secret, and a spec never does",
				`Use auth: {"kind": "header", "header": "`+name+`", "secret": "..."}`)
		}
	}
	if kind := c.spec.HubSpot.Auth.Kind; kind != "" && kind != "bearer" {
		c.refuse("auth", "hubspot.auth.kind", "HubSpot takes bearer tokens alone", `Use "bearer" with a private app's access token`)
	}
	c.auth(d.Auth)
	c.plainHTTP("hubspot.baseUrl", c.spec.HubSpot.BaseURL)
	c.plainHTTP("destination.baseUrl", d.BaseURL)
	if c.usesWebhook() {
		c.webhook(d.Webhook)
	}
}

// auth: what a kind needs beside its secret.
func (c *checker) auth(a Auth) {
	const path = "destination.auth"
	switch a.Kind {
	case "header":
		if a.Header == "" {
			c.refuse("auth", at(path, "header"), "the secret is sent in a header whose name is not told", "Add header, such as X-Api-Key")
		}
	case "oauth2":
		u, err := url.Parse(a.TokenURL)
		if err != nil || u.Host == "" || u.User != nil {
			c.refuse("auth", at(path, "tokenUrl"), "oauth2 needs to know where tokens are fetched", "Add tokenUrl, an absolute URL")
		}
		if a.ClientID == "" {
			c.refuse("auth", at(path, "clientId"), "oauth2 needs the client's id", "Add clientId; the client's secret is the parameter that auth.secret names")
		}
	}
}

func secretHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"authorization", "api-key", "apikey", "token", "secret", "cookie"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// plainHTTP: a token sent without TLS can be read on its way; loopback has no way.
func (c *checker) plainHTTP(path, base string) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" {
		return
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		c.warn("plain-http", path, "tokens and records would travel unencrypted", "Use https")
	}
}

// usesWebhook reports whether a pair's destination side is told of changes.
func (c *checker) usesWebhook() bool {
	return slices.ContainsFunc(c.spec.Pairs, func(p Pair) bool { return p.Destination.Trigger != "poll" })
}

// schemes maps each signature scheme to whether the spec must name its header;
// the others have a header of their own.
var schemes = map[string]bool{
	"hmac-sha256-hex": true, "hmac-sha256-base64": true,
	"stripe": false, "standard-webhooks": false, "ed25519": true,
}

func (c *checker) webhook(w *Webhook) {
	const path = "destination.webhook"
	if w == nil {
		c.refuse("webhook-missing", path, "a pair's destination side is triggered by webhook, but how its webhooks are signed is not told",
			"Add destination.webhook, or poll the object")
		return
	}
	header, known := schemes[w.Scheme]
	switch {
	case !known:
		c.refuse("webhook-scheme", at(path, "scheme"), "no such signature scheme, so nothing could be believed",
			"Use one of hmac-sha256-hex, hmac-sha256-base64, stripe, standard-webhooks, ed25519")
	case header && w.Header == "":
		c.refuse("webhook-scheme", at(path, "header"), "this scheme needs the name of the header that carries the signature", "Add header")
	case header && w.TimestampHeader == "":
		c.warn("webhook-no-timestamp", at(path, "timestampHeader"), "without a signed time an old delivery can be sent again for ever",
			"Name the header with the time, if the system signs one")
	}
	if w.Record == "" {
		c.refuse("webhook-record", at(path, "record"), "an event that does not say its record is of no use", "Add the path of the record's id")
	}
}
