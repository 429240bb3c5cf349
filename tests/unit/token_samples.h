/* token_samples.h: keys made by, and tokens signed with, openssl's command line: outside of this code. Claims: app demo, sub ada,
 * device phone, exp in 2100. */
#ifndef PETREL_TESTS_TOKEN_SAMPLES_H
#define PETREL_TESTS_TOKEN_SAMPLES_H

/* clang-format off */
#define TOKEN_SAMPLES_PEM_EC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPNrsgduu+BWiV4szQtmgckRcERV2\n" \
    "+sjd6Ggk5LPXEyjFgehykgVFRMueueIVKoH3eeECSX55ZM7Y5s+5WKdg8w==\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_EC_OTHER \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfS5F2FFxqz9Eo97IPOsgTzyrICDl\n" \
    "FV2Nw5Po0p944w+8FacB3EN83D5Vkc8mvJfvR43Xh107R9sHZxc4t1vWhA==\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_RSA \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2162cSeVZQ+whFDycEpV\n" \
    "9zu8m52j/7lnAdwnWEqFADRH/o3xlu+FE05efDMegJyG2XV96PASdyBzACR1Nw3u\n" \
    "4PC81sCxDknkjCHxKlL+z+F2tgESOpv98hP5JGqr5cDgX2ZY4Vj3U7+r7HL/Kuw1\n" \
    "akWl5v1P3f74IRsuHVg6MZnliS7fE6RWyDgqXUsivJHgRO5qqJRWc30U1hukYpt2\n" \
    "Ha40EQjsWxRv/WuIe+Ss1nRuPultlAO0Y7MBoHKthrkZCOeknyyFlVx6r+oUQ8By\n" \
    "zOZBnoMYBrDsvRAL//zr56i4efVUJDqVNbSGwrt+J8sfk/mS2GqzRaZyIGY6Fc1O\n" \
    "qwIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_RSA_4096 \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEA0QaXd8HztjFVOTdXbjcY\n" \
    "dl3genylTVdxjCsk7s1p5AWH5LAWyYfsVi5KyWpL8inpLE1VhsLC/BLO0TxsL+7v\n" \
    "9TX2Eh+kn808tPHOYEUa6t01dzO9eoo38rK14LBelBc6BfgrNWMtaOkAs4YeCRvs\n" \
    "RAkfvLnqPuZ6SOuT8Fr4YCvwee/8jP3aQYDzqg1s1HKgtuHJOqrGnsw2It9dLF43\n" \
    "1Pvyd488z2JzwUuSi6vTXBDsuEHc8Rc5UhvmLBimA6OB905D503c4gM4bRfSLA7t\n" \
    "gRm3VMqM+8Yv5oYNv3Hq/BVr5AT2GLDn5W45L9V9IQJn/W3Y9LTOnzLnYWmHJaRV\n" \
    "+55H7fLExD27POuv0ZjQenwZ9YCb8Vruhoy0EF7/HtRJKSfCBbBbjQboAv/1ILEM\n" \
    "awAOUvLv3WWgTAm0HRpPdDm2cMUI04KIqB1xH6R98EEQ2LE6Vk1DLXdJgwJ/c52U\n" \
    "SLkJrH0CtlN2JXZVb2XOcIiKwbAbfNpElZl21wBVI/9UCuEwPN85IBc+9V6B5+r8\n" \
    "9oS9t5gaCjJgVXX+oL7lbYgtPcwQwZDvS2TpuYSv047dOh/2L3x9UHCcagHgeCFo\n" \
    "yikLqymzAehjiapeeVVHAD7JOiwUci6mw9ZEocUqbv7oeisf8Uk6yVB7yTWQHY3K\n" \
    "sJqtEC6XL3rFZpRmW5fn96sCAwEAAQ==\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_RSA_1024 \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC8TdmP/NUX48ZSsFRzPw6dm8Rh\n" \
    "hFqgHPWuPPOfErk3jZ2ZZULHel1R+9m526S/m8UwJS2l8GYrAPT0UhlkBxXxA7+4\n" \
    "5SzbeYZdJafTVrulgPZa2DcK4/qIx6m7bdbuLDdox69aRMmf1yfQlEvlT3A8MHJS\n" \
    "JeBSb64UFL99Mlnb6wIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_P384 \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE/8fv6jAp8cROsmnYi8KlmfhB9xITlCq0\n" \
    "VW9/IYUGNWgJUj0LMy4gUhVxfyUxvFzIEmLS9yufv8YqTvkPti5xqtbkfwIB4pUU\n" \
    "kSFR+9csMg0rqS4q3QeNBMF4uTwFS+3K\n" \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_SAMPLES_PEM_ED25519 \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MCowBQYDK2VwAyEAOCrv3C+VQp7eSGmLIJb7qOvK7oI4wKehHli1DbFYlW0=\n" \
    "-----END PUBLIC KEY-----\n"

/* kid es-1; rs-1; none; and rs-1 with the text of the public key for a secret. */
#define TOKEN_SAMPLES_ES256 \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVzLTEifQ.eyJhcHAiOiJkZW1vIiwic3ViIjoiYWRhIiwiZGV2aWNlI" \
    "joicGhvbmUiLCJleHAiOjQxMDI0NDQ4MDB9.jLVEAGTktBSdKkSWSif9b0RBB3I7Z4ALoNF_PRhYjyqBKpEmp9rBsD2U0oT81Ja-" \
    "IjXgBw6OLAqsE5FSAJT4lg"

#define TOKEN_SAMPLES_RS256 \
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzLTEifQ.eyJhcHAiOiJkZW1vIiwic3ViIjoiYWRhIiwiZGV2aWNlI" \
    "joicGhvbmUiLCJleHAiOjQxMDI0NDQ4MDB9.xE_NF_Z1eMEPaTDtvfffmZ-zPJQuWioFdkruBR6DxBBWFPJBPBzC7RB6ytIQ10nk" \
    "T5ARmadIuNXIsEMG3h3hwSpJ2sqdgUpK4rhztF1PgZcn2YN1DuUtez-jNVELRtBstaPc2diGqg9-c3qAzuQ6A5mHqUTlT1kILyPq" \
    "nekNUvQ2pTKdVMise9s-xEgEt5LkNSV0Ob0hurJ8kbi3qZm5PHJLsGQVAsKrx2MyaIpOT-o0oZxr9hiqOm1OFbUR1C7zcl2w71n6" \
    "T7pXQuSfnak2GXKv6bFCZS06terhe5qXiSBoY-PW0F7dUWCRZCc48OHJ4dtxv0kEKlLmVklr3UPrgA"

#define TOKEN_SAMPLES_ES256_NO_KID \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJhcHAiOiJkZW1vIiwic3ViIjoiYWRhIiwiZGV2aWNlIjoicGhvbmUiLCJleHA" \
    "iOjQxMDI0NDQ4MDB9.p9iX1BFVYzqMIkxO1qdvLeExzw_cfRozcuB9_v_8vOudSiR9-fP2jebvtUCt91ZVgrXnje1gcbZFhifBzr" \
    "1lEg"

#define TOKEN_SAMPLES_HS256_BY_PUBLIC_PEM \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzLTEifQ.eyJhcHAiOiJkZW1vIiwic3ViIjoiYWRhIiwiZGV2aWNlI" \
    "joicGhvbmUiLCJleHAiOjQxMDI0NDQ4MDB9.w9p63IZJD-lIPodJQ1AdIqfcs2GYtNYQ6Zx1ztetAlQ"

/* clang-format on */

#endif
