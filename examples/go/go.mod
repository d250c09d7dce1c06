module welcome

go 1.24
