package restconfig

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/millrace/millrace/controlplane/workerconfig"
)

// Users are who may call the API, with their passwords.
type Users struct{ sums map[string][sha256.Size]byte }

// users reads what the extensions ask for; nil: nobody has to log in. An extension that is not known is refused: it could be
// the one that keeps strangers out.
func users(extensions []string, file string) (*Users, error) {
	wanted := false
	for _, class := range extensions {
		switch strings.TrimSpace(class) {
		case "":
		case BasicAuth, "BasicAuthSecurityRestExtension":
			wanted = true
		default:
			return nil, wrong("Invalid value %s for configuration rest.extension.classes: Class %s could not be found; the only extension here is %s", class, class, BasicAuth)
		}
	}
	switch {
	case !wanted && file != "":
		return nil, wrong("%s names users, but rest.extension.classes does not ask for a login: add %s to it, or remove the file", UsersFile, BasicAuth)
	case !wanted:
		return nil, nil
	case file == "":
		return nil, wrong("Missing required configuration \"%s\": basic authentication needs a properties file with lines user=password", UsersFile)
	}
	props, err := workerconfig.ReadFile(file)
	if err != nil {
		return nil, wrong("Invalid value %s for configuration %s: %v", file, UsersFile, err)
	}
	u := &Users{sums: make(map[string][sha256.Size]byte, len(props))}
	for user, password := range props {
		u.sums[user] = sha256.Sum256([]byte(password))
	}
	return u, nil
}

// Everybody tells that there are no users: then everybody is let in, as in Kafka Connect.
func (u *Users) Everybody() bool { return len(u.sums) == 0 }

// Admit tells whether an Authorization header names a user with the right password, and whom. Each answer takes the same
// time, so that it tells nothing else (S10).
func (u *Users) Admit(header string) (user string, ok bool) {
	if u.Everybody() {
		return "", true
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	plain, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	name, password, ok := strings.Cut(string(plain), ":")
	if !ok {
		return "", false
	}
	given := sha256.Sum256([]byte(password))
	want, known := u.sums[name]
	same := subtle.ConstantTimeCompare(given[:], want[:]) == 1
	if !same || !known {
		return "", false
	}
	return name, true
}
