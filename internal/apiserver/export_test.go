package apiserver

// WithoutSecrets are the resources whose bodies an audit record may hold.
var WithoutSecrets = withoutSecrets
