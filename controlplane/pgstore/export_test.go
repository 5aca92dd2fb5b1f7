package pgstore

// SQLShownSince asks what has changed.
const SQLShownSince = sqlShownSince
