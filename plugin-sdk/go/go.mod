module gtm

go 1.24
