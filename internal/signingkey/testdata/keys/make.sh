#!/bin/sh
# Writes the key files of this folder: one EC key and one RSA key in the spellings of openssl, ssh-keygen, Java's keytool
# and cfssl, and keys that can't sign tokens. They are test data, in nobody's use.
set -eu
cd "$(dirname "$0")"

# The EC key, private.
openssl ecparam -name prime256v1 -genkey -out ec-parameters-first.pem
openssl ec -in ec-parameters-first.pem -out ec-sec1.pem
openssl pkcs8 -topk8 -nocrypt -in ec-sec1.pem -out ec-pkcs8.pem
cp ec-sec1.pem ec-ssh-keygen-pem.pem
chmod 600 ec-ssh-keygen-pem.pem
ssh-keygen -q -p -N '' -m PEM -f ec-ssh-keygen-pem.pem
cp ec-sec1.pem ec-openssh.pem
chmod 600 ec-openssh.pem
ssh-keygen -q -p -N '' -f ec-openssh.pem
openssl ec -in ec-sec1.pem -aes256 -passout pass:secret -out ec-sec1-encrypted.pem
openssl pkcs8 -topk8 -in ec-sec1.pem -passout pass:secret -out ec-pkcs8-encrypted.pem
openssl ec -in ec-sec1.pem -outform DER -out ec-sec1.der
openssl ec -in ec-sec1.pem -param_enc explicit -out ec-explicit-curve.pem

# The EC key, public.
openssl pkey -in ec-sec1.pem -pubout -out ec-public.pem
openssl pkey -in ec-sec1.pem -pubout -text -out ec-public-text.pem
ssh-keygen -e -m PKCS8 -f ec-ssh-keygen-pem.pem >ec-public-ssh-keygen.pem
ssh-keygen -y -f ec-ssh-keygen-pem.pem >ec-openssh.pub
ssh-keygen -e -m RFC4716 -f ec-ssh-keygen-pem.pem | sed /^Comment/d >ec-rfc4716.pub
openssl req -new -x509 -key ec-sec1.pem -subj /CN=ec -days 36500 -out ec-certificate.pem
openssl x509 -in ec-certificate.pem -trustout -addtrust serverAuth -out ec-certificate-trusted.pem
openssl x509 -in ec-certificate.pem -text -out ec-certificate-text.pem
openssl req -new -key ec-sec1.pem -subj /CN=ec -out ec-request.pem

# A key store of Java: the key with its certificate, and the certificate alone.
openssl pkcs12 -export -inkey ec-sec1.pem -in ec-certificate.pem -name ec -passout pass:secret -out ec-keystore.p12
openssl pkcs12 -in ec-keystore.p12 -passin pass:secret -nodes -out ec-bag-attributes.pem
keytool -exportcert -rfc -keystore ec-keystore.p12 -storepass secret -alias ec -file ec-keytool.pem

# The RSA key.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa-pkcs8.pem
openssl rsa -traditional -in rsa-pkcs8.pem -out rsa-pkcs1.pem
openssl rsa -traditional -in rsa-pkcs8.pem -aes128 -passout pass:secret -out rsa-pkcs1-encrypted.pem
cp rsa-pkcs1.pem rsa-ssh-keygen-pkcs8.pem
chmod 600 rsa-ssh-keygen-pkcs8.pem
ssh-keygen -q -p -N '' -m PKCS8 -f rsa-ssh-keygen-pkcs8.pem
openssl rsa -in rsa-pkcs8.pem -pubout -out rsa-public.pem
openssl rsa -in rsa-pkcs8.pem -RSAPublicKey_out -out rsa-public-pkcs1.pem
chmod 600 rsa-pkcs1.pem
ssh-keygen -e -m PEM -f rsa-pkcs1.pem >rsa-public-ssh-keygen.pem

# Keys that can't sign tokens.
openssl genpkey -algorithm ed25519 -out ed25519.pem
openssl pkey -in ed25519.pem -pubout -out ed25519-public.pem
openssl genpkey -algorithm ed448 -out ed448.pem
openssl genpkey -algorithm x25519 -out x25519.pem
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out rsa-pss.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa-1024.pem
openssl ecparam -name secp256k1 -genkey -noout -out secp256k1.pem
openssl ecparam -name secp256k1 -genkey -noout | openssl pkey -pubout -out secp256k1-public.pem
openssl ecparam -name secp224r1 -genkey -noout -out p224.pem
openssl ecparam -name prime256v1 -out ec-parameters.pem
openssl dsaparam -genkey 2048 | openssl pkey -pubout -out dsa-public.pem
chmod 644 ./*.pem
