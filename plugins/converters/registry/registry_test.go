package registry

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
)

// stub answers as Confluent's registry does, what the test says, and notes what it was asked.
type stub struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	last   http.Header
	answer func(n int, asked string) (int, string)
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	asked := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
	s.asked = append(s.asked, asked)
	s.last = r.Header.Clone()
	n := len(s.asked)
	s.mu.Unlock()
	status, text := s.answer(n, asked)
	w.Header().Set("Content-Type", contentType)
	if status == http.StatusFound {
		w.Header().Set("Location", text)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (s *stub) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func (s *stub) header(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Get(name)
}

func newStub(t *testing.T, answer func(n int, asked string) (int, string)) *stub {
	t.Helper()
	s := &stub{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func always(status int, text string) func(int, string) (int, string) {
	return func(int, string) (int, string) { return status, text }
}

var (
	testDef    = &config.Def{Keys: Keys()}
	testFormat = Format{Name: "Avro", Write: "Failed to serialize Avro data from topic %s :", Read: "Failed to deserialize data for topic %s to Avro: ", Access: "Failed to access Avro data from topic %s : "}
)

func configured(t *testing.T, url string, props map[string]string) *Serde {
	t.Helper()
	s, err := tryConfigure(url, props)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func tryConfigure(url string, props map[string]string) (*Serde, error) {
	all := map[string]string{"schema.registry.url": url, "retries.wait.ms": "1", "max.retries": "1"}
	for k, v := range props {
		all[k] = v
	}
	s := &Serde{}
	_, err := s.Configure(testFormat, testDef, all, converter.ForValue)
	return s, err
}

var text = Schema{Type: Avro, Text: `"string"`}

func TestRegistry_asks_what_Confluents_client_asks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		props  map[string]string
		answer string
		asked  string
	}{
		"register":  {nil, `{"id":7}`, `POST /subjects/orders-value/versions?normalize=false {"schema":"\"string\""}`},
		"normalize": {map[string]string{"normalize.schemas": "true"}, `{"id":7}`, `POST /subjects/orders-value/versions?normalize=true {"schema":"\"string\""}`},
		"look up": {map[string]string{"auto.register.schemas": "false"}, `{"subject":"orders-value","version":1,"id":7,"schema":"\"string\""}`,
			`POST /subjects/orders-value?normalize=false&deleted=false {"schema":"\"string\""}`},
		"latest": {map[string]string{"auto.register.schemas": "false", "use.latest.version": "true"}, `{"subject":"orders-value","version":1,"id":7,"schema":"\"string\""}`,
			`GET /subjects/orders-value/versions/latest`},
		"id":                    {map[string]string{"auto.register.schemas": "false", "use.schema.id": "7"}, `{"schema":"\"string\""}`, `GET /schemas/ids/7?fetchMaxId=false&subject=orders-value`},
		"record name":           {map[string]string{"value.subject.name.strategy": recordName}, `{"id":7}`, `POST /subjects/a.R%2F1/versions?normalize=false {"schema":"\"string\""}`},
		"topic and record name": {map[string]string{"value.subject.name.strategy": topicRecordName}, `{"id":7}`, `POST /subjects/orders-a.R%2F1/versions?normalize=false {"schema":"\"string\""}`},
	} {
		r := newStub(t, always(200, test.answer))
		s := configured(t, r.URL+"/", test.props)
		for range 3 {
			target, err := s.Target("orders", "a.R/1", text)
			require.NoError(t, err, name)
			require.Equal(t, int32(7), target.ID, name)
			if target.Given != nil {
				require.Equal(t, text, *target.Given)
				break // it is the converter that remembers
			}
		}
		require.Equal(t, []string{test.asked}, r.seen(), name)
		require.Contains(t, r.header("Accept"), "application/vnd.schemaregistry.v1+json")
	}
	other := Schema{Type: Protobuf, Text: "syntax", References: []Reference{{"a.proto", "a", 2}}}
	r := newStub(t, always(200, `{"id":1}`))
	_, err := configured(t, r.URL, nil).Target("t", "", other)
	require.NoError(t, err)
	require.Equal(t, []string{`POST /subjects/t-value/versions?normalize=false {"schema":"syntax","schemaType":"PROTOBUF","references":[{"name":"a.proto","subject":"a","version":2}]}`}, r.seen())
}

func TestRegistry_reads_a_schema_with_all_that_it_refers_to(t *testing.T) {
	t.Parallel()
	schemas := map[string]string{
		"GET /schemas/ids/9?fetchMaxId=false&subject=t-value": `{"schema":"top","references":[{"name":"B","subject":"b","version":1},{"name":"C","subject":"c","version":3}]}`,
		"GET /subjects/b/versions/1?deleted=true":             `{"subject":"b","version":1,"id":2,"schema":"B","references":[{"name":"C","subject":"c","version":3}]}`,
		"GET /subjects/c/versions/3?deleted=true":             `{"subject":"c","version":3,"id":3,"schema":"C","references":[{"name":"B","subject":"b","version":1}]}`,
		`POST /subjects/t-value?normalize=false&deleted=true {"schema":"top","references":[{"name":"B","subject":"b","version":1},{"name":"C","subject":"c","version":3}]}`: `{"version":12,"id":9,"schema":"top"}`,
	}
	r := newStub(t, func(_ int, asked string) (int, string) {
		if a, ok := schemas[asked]; ok {
			return 200, a
		}
		return 404, `{"error_code":40403,"message":"Schema not found"}`
	})
	s := configured(t, r.URL, nil)
	schema, deps, err := s.Schema("t", 9)
	require.NoError(t, err)
	require.Equal(t, "top", schema.Text)
	require.Equal(t, []Named{{"C", "C"}, {"B", "B"}}, deps, "what is referred to first, each once, and a circle ends")
	v, err := s.Version("t", "", schema)
	require.NoError(t, err)
	require.Equal(t, 12, v)
	v, err = s.Version("other", "", schema)
	require.NoError(t, err)
	require.Zero(t, v, "a topic that was copied has no subject")
}

func TestRegistry_goes_on_with_another_address(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := "http://" + dead.Addr().String()
	require.NoError(t, dead.Close())
	broken := newStub(t, always(503, "<html>gateway</html>"))
	good := newStub(t, always(200, `{"id":1}`))
	s := configured(t, gone+","+broken.URL+","+good.URL, map[string]string{"max.retries": "0"})
	for i := range 3 {
		_, err := s.Target("t", "", Schema{Text: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	require.Len(t, broken.seen(), 1, "the address that answered is asked first from then on")
	require.Len(t, good.seen(), 3)

	s = configured(t, gone+","+broken.URL, map[string]string{"max.retries": "2"})
	_, err = s.Target("t", "", text)
	require.Len(t, broken.seen(), 4)
	require.True(t, connecterr.IsRetriable(err), "%v", err)
	require.Equal(t, "org.apache.kafka.common.errors.NetworkException", connecterr.ClassOf(err))
	require.Contains(t, err.Error(), "I/O error while serializing Avro data for topic t: ")
}

func TestRegistry_tries_again_when_it_is_told_to_wait(t *testing.T) {
	t.Parallel()
	r := newStub(t, func(n int, _ string) (int, string) {
		if n < 3 {
			return 429, `{"error_code":42901,"message":"Too many requests"}`
		}
		return 200, `{"id":5}`
	})
	target, err := configured(t, r.URL, map[string]string{"max.retries": "2"}).Target("t", "", text)
	require.NoError(t, err)
	require.Equal(t, int32(5), target.ID)
}

func TestRegistry_says_what_is_wrong(t *testing.T) {
	t.Parallel()
	for answer, test := range map[string]struct {
		status int
		kind   connecterr.Kind
		text   string
	}{
		`{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema for subject \"t-value\""}`: {409, connecterr.Config,
			`Failed to access Avro data from topic t : Error registering Avro schema"string": Schema being registered is incompatible with an earlier schema for subject "t-value"; error code: 409`},
		`{"error_code":401,"message":"Unauthorized"}`:          {401, connecterr.Config, `Failed to access Avro data from topic t : Error registering Avro schema"string": Unauthorized; error code: 401`},
		`{"error_code":42201,"message":"Invalid Avro schema"}`: {422, connecterr.Data, `Failed to serialize Avro data from topic t :: Error registering Avro schema"string": Invalid Avro schema; error code: 42201`},
		`<html>no</html>`: {403, connecterr.Config, `Failed to access Avro data from topic t : Error registering Avro schema"string": Forbidden; error code: 403`},
		`{"error_code":50003,"message":"Error while forwarding the request to the primary"}`: {500, connecterr.Retriable, "I/O error while serializing Avro data for topic t: Error while forwarding the request to the primary; error code: 50003: " +
			`Error registering Avro schema"string": Error while forwarding the request to the primary; error code: 50003`},
		`http://elsewhere/`: {302, connecterr.Data, `Failed to serialize Avro data from topic t :: Error registering Avro schema"string": the registry sends elsewhere, which is not followed: set schema.registry.url to http://elsewhere/; error code: 302`},
		`{}`:                {200, connecterr.Data, `Failed to serialize Avro data from topic t :: Error registering Avro schema"string": the registry answered without an id`},
		`not json`:          {200, connecterr.Data, `is not what it should be (is http://user:xxxxx@`},
	} {
		r := newStub(t, always(test.status, answer))
		url := strings.Replace(r.URL, "//", "//user:secretword@", 1)
		if test.status != 200 || answer == "{}" {
			url = r.URL
		}
		_, err := configured(t, url, nil).Target("t", "", text)
		require.Equal(t, test.kind, connecterr.KindOf(err), answer)
		if answer == "not json" {
			require.NotContains(t, connecterr.Trace(err), "secretword")
			continue
		}
		require.EqualError(t, err, test.text)
	}
	r := newStub(t, always(404, `{"error_code":40403,"message":"Schema 5 not found"}`))
	_, _, err := configured(t, r.URL, nil).Schema("t", 5)
	require.Equal(t, `org.apache.kafka.connect.errors.DataException: Failed to deserialize data for topic t to Avro:`, strings.TrimSpace(strings.Split(connecterr.Trace(err), "\n")[0]))
	require.Contains(t, connecterr.Trace(err), "Caused by: org.apache.kafka.common.errors.SerializationException: Error retrieving Avro value schema for id 5\n"+
		"Caused by: io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: Schema 5 not found; error code: 40403\n")
}

func TestRegistry_shows_who_it_is(t *testing.T) {
	t.Parallel()
	r := newStub(t, always(200, `{"id":1}`))
	withUser := strings.Replace(r.URL, "//", "//ada:p%40ss@", 1)
	const basic = "Basic YWRhOnBAc3M=" // ada:p@ss
	for name, test := range map[string]struct {
		url   string
		props map[string]string
		want  string
	}{
		"in the address":   {withUser, nil, basic},
		"URL":              {withUser, map[string]string{"basic.auth.credentials.source": "URL"}, basic},
		"USER_INFO":        {r.URL, map[string]string{"basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": "ada:p@ss"}, basic},
		"with the prefix":  {r.URL, map[string]string{"schema.registry.basic.auth.credentials.source": "USER_INFO", "schema.registry.basic.auth.user.info": "ada:p@ss"}, basic},
		"SASL_INHERIT":     {r.URL, map[string]string{"basic.auth.credentials.source": "SASL_INHERIT", "sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required username="ada" password="p@ss";`}, basic},
		"SASL with quotes": {r.URL, map[string]string{"basic.auth.credentials.source": "SASL_INHERIT", "sasl.jaas.config": `X required password="a\"b" username=u;`}, "Basic dTphImI="},
		"token":            {r.URL, map[string]string{"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": "tok", "bearer.auth.logical.cluster": "lsrc-1", "bearer.auth.identity.pool.id": "pool-1"}, "Bearer tok"},
		"nobody":           {r.URL, nil, ""},
	} {
		_, err := configured(t, test.url, test.props).Target("t", "", text)
		require.NoError(t, err, name)
		require.Equal(t, test.want, r.header("Authorization"), name)
		if name == "token" {
			require.Equal(t, []string{"lsrc-1", "pool-1"}, []string{r.header("target-sr-cluster"), r.header("Confluent-Identity-Pool-Id")})
		}
	}
}

func TestRegistry_encrypts(t *testing.T) {
	t.Parallel()
	s := &stub{answer: always(200, `{"id":1}`)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	_, err := configured(t, s.URL, map[string]string{"schema.registry.ssl.truststore.certificates": ca}).Target("t", "", text)
	require.NoError(t, err)
	_, err = configured(t, s.URL, nil).Target("t", "", text)
	require.ErrorContains(t, err, "certificate")
	byName := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // which is not in the certificate
	_, err = configured(t, byName, map[string]string{"schema.registry.ssl.truststore.certificates": ca}).Target("t", "", text)
	require.ErrorContains(t, err, "certificate is valid for")
	_, err = configured(t, byName, map[string]string{"schema.registry.ssl.truststore.certificates": ca, "schema.registry.ssl.endpoint.identification.algorithm": ""}).Target("t", "", text)
	require.NoError(t, err)
	_, err = configured(t, byName, map[string]string{"schema.registry.ssl.endpoint.identification.algorithm": ""}).Target("t", "", text)
	require.ErrorContains(t, err, "certificate", "the name does not matter, the authority does")
}

func TestRegistry_refuses_configurations(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]struct {
		url   string
		props map[string]string
	}{
		"Invalid value for configuration schema.registry.url: each address must be like http://host:8081 or https://host:8081":                                                                     {"ftp://u:secretword@x", nil},
		"Invalid value for configuration schema.registry.url: a mock:// address must be the only one":                                                                                              {"mock://a,http://b", nil},
		"Only one of 'basic.auth.credentials.source' and 'bearer.auth.credentials.source' may be specified":                                                                                        {"http://a", map[string]string{"basic.auth.credentials.source": "URL", "bearer.auth.credentials.source": "STATIC_TOKEN"}},
		`Missing required configuration "basic.auth.user.info": basic.auth.credentials.source=USER_INFO needs it, as user:password`:                                                                {"http://a", map[string]string{"basic.auth.credentials.source": "USER_INFO"}},
		`Missing required configuration "sasl.jaas.config": basic.auth.credentials.source=SASL_INHERIT needs a login with username and password beside it`:                                         {"http://a", map[string]string{"basic.auth.credentials.source": "SASL_INHERIT"}},
		"Invalid value X for configuration basic.auth.credentials.source: it must be URL, USER_INFO or SASL_INHERIT":                                                                               {"http://a", map[string]string{"basic.auth.credentials.source": "X"}},
		`Missing required configuration "bearer.auth.token": bearer.auth.credentials.source=STATIC_TOKEN needs the token`:                                                                          {"http://a", map[string]string{"bearer.auth.credentials.source": "STATIC_TOKEN"}},
		"Invalid value OAUTHBEARER for configuration bearer.auth.credentials.source: it must be STATIC_TOKEN; others are not supported":                                                            {"http://a", map[string]string{"bearer.auth.credentials.source": "OAUTHBEARER"}},
		"Invalid value -1 for configuration proxy.port: proxy.host needs a port from 1 to 65535":                                                                                                   {"http://a", map[string]string{"proxy.host": "p"}},
		"Invalid value SSLv3 for configuration schema.registry.ssl.enabled.protocols: it must be TLSv1.2 or TLSv1.3; older versions are not safe":                                                  {"http://a", map[string]string{"schema.registry.ssl.enabled.protocols": "SSLv3"}},
		"Invalid value for configuration schema.registry.ssl.truststore.certificates: there is no CERTIFICATE in PEM form in it":                                                                   {"http://a", map[string]string{"schema.registry.ssl.truststore.certificates": "x"}},
		"Invalid value x.Mine for configuration value.subject.name.strategy: it must be " + topicName + ", " + recordName + " or " + topicRecordName + "; strategies of one's own can't be loaded": {"http://a", map[string]string{"value.subject.name.strategy": "x.Mine"}},
		"Invalid value 0 for configuration max.schemas.per.subject: Value must be at least 1":                                                                                                      {"http://a", map[string]string{"max.schemas.per.subject": "0"}},
	} {
		_, err := tryConfigure(test.url, test.props)
		require.EqualError(t, err, want)
		require.Equal(t, connecterr.Config, connecterr.KindOf(err))
	}
	_, err := (&Serde{}).Configure(testFormat, testDef, nil, converter.ForKey)
	require.EqualError(t, err, `Missing required configuration "schema.registry.url" which has no default value.`)
	s := configured(t, "mock://strategies", map[string]string{"value.subject.name.strategy": recordName})
	_, err = s.Target("t", "", text)
	require.ErrorContains(t, err, "In configuration value.subject.name.strategy = "+recordName+", the message value must only be a record schema")
}

func TestRegistry_ends_what_is_under_way(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	release := make(chan struct{})
	r := newStub(t, func(int, string) (int, string) {
		close(asked)
		<-release
		return 200, `{"id":1}`
	})
	defer close(release)
	s := configured(t, r.URL, nil)
	done := make(chan error)
	go func() {
		_, err := s.Target("t", "", text)
		done <- err
	}()
	<-asked
	require.NoError(t, s.Close())
	require.True(t, connecterr.IsRetriable(<-done))
}

// A task that has to end does not wait for a registry that hangs; one that goes on asks again.
func TestRegistry_gives_up_with_the_batch(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	release := make(chan struct{})
	r := newStub(t, func(n int, _ string) (int, string) {
		if n == 1 {
			asked <- struct{}{}
			<-release
		}
		return 200, `{"id":1}`
	})
	defer close(release)
	s := configured(t, r.URL, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.Within(ctx)
	done := make(chan error)
	go func() {
		_, err := s.Target("t", "", text)
		done <- err
	}()
	<-asked
	cancel()
	require.True(t, connecterr.IsRetriable(<-done))
	_, err := s.Target("t", "", text)
	require.True(t, connecterr.IsRetriable(err), "nothing is asked once it has ended")
	require.Len(t, r.seen(), 1)
	s.Within(t.Context())
	target, err := s.Target("t", "", text)
	require.NoError(t, err)
	require.Equal(t, int32(1), target.ID)
}

func TestCache_is_bounded(t *testing.T) {
	t.Parallel()
	c := NewCache[int, int](3)
	for i := range 10 {
		c.Put(i, i)
		c.Put(i, -i)
		got, ok := c.Get(i)
		require.True(t, ok)
		require.Equal(t, -i, got)
		require.LessOrEqual(t, c.Len(), 3)
	}
}

func TestKeys_hide_what_is_secret(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		secret := strings.Contains(k.Name, "password") || strings.Contains(k.Name, "user.info") || strings.HasSuffix(k.Name, "token") || strings.HasSuffix(k.Name, "jaas.config") || strings.HasSuffix(k.Name, "keystore.key")
		require.True(t, !secret || k.Type == config.Password, k.Name)
		require.NotEmpty(t, k.Doc, k.Name)
	}
	_, err := json.Marshal(testDef)
	require.NoError(t, err)
}
