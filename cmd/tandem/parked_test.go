package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// On AWS the client's table is read, page by page.
func TestParkedOnAWS(t *testing.T) {
	pages := map[bool]string{
		true: `{"Items":[{"pk":{"S":"MAP#hubspot#contacts#7"},"sk":{"S":"MAP"},"rev":{"N":"1"},"state":{"S":"parked"},"reason":{"S":"two match"}}],` +
			`"LastEvaluatedKey":{"pk":{"S":"MAP#hubspot#contacts#7"},"sk":{"S":"MAP"}}}`,
		false: `{"Items":[{"pk":{"S":"MAP#hubspot#contacts#8"},"sk":{"S":"MAP"},"rev":{"N":"1"},"state":{"S":"linked"},"p:phone":{"S":"alternates"}}]}`,
	}
	db := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if !strings.Contains(string(body), `"TableName":"acme"`) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`)
			return
		}
		io.WriteString(w, pages[!strings.Contains(string(body), "ExclusiveStartKey")])
	}))
	defer db.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": db.URL, "AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"parked", "acme"}, exitOK, "hubspot/contacts/7: the record: two match\nhubspot/contacts/8: field phone: alternates\n"},
		{[]string{"parked", "--json", "acme"}, exitOK, `{"record":{"system":"hubspot","object":"contacts","id":"7"},"why":["the record: two match"]}` + "\n" +
			`{"record":{"system":"hubspot","object":"contacts","id":"8"},"why":["field phone: alternates"]}` + "\n"},
		{[]string{"parked", "amce"}, exitFailed, "table amce: it does not exist"},
		{[]string{"status"}, exitFailed, "table tandem-centre: it does not exist"},
		{[]string{"parked"}, exitMisused, "name one client"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), append(c.args, "--aws"), nil, &out, &out); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%q says, with %d: %s", c.args, code, out.String())
		}
	}
}
